"""Every table of the answers and of the audit, in the order in which a reader meets them."""

from __future__ import annotations

from ragprof.report.injection import answer_tables, audit_tables, setup_tables, sweep_tables, time_tables, worth_tables

GLANCE = answer_tables.glance
FOLDED = (
    answer_tables.attribution,
    answer_tables.comparisons,
    answer_tables.abstention,
    answer_tables.agreement,
    sweep_tables.marginal,
    sweep_tables.by_k,
    sweep_tables.k_tokens,
    sweep_tables.by_budget,
    sweep_tables.budget_tokens,
    sweep_tables.orders,
    time_tables.fit,
    time_tables.lengths,
    worth_tables.economics,
    worth_tables.energy,
    worth_tables.formulas,
    worth_tables.utility,
    worth_tables.winners,
    setup_tables.budget,
    setup_tables.energy,
    setup_tables.setup,
)
AUDIT = (audit_tables.stages, audit_tables.quality)
EVERY = (GLANCE, *FOLDED, *AUDIT)
