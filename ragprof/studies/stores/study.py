"""Stores as a study: which index, asked in which way, is good enough, and what does it cost?"""

from __future__ import annotations

from ragprof.record.trial import Trial
from ragprof.studies.contract import Effort, Study
from ragprof.studies.stores.analysis import analyse, is_compared, stores_belong
from ragprof.studies.stores.churn import churned
from ragprof.studies.stores.cold import reopened
from ragprof.studies.stores.judge import judge_stores
from ragprof.studies.stores.plan import StoresPlan, plan
from ragprof.studies.stores.price import price_stores
from ragprof.studies.stores.record import record_stores
from ragprof.studies.stores.section import StoresSection
from ragprof.studies.stores.tables import show, stores_table


def estimate(planned: StoresPlan, _trial: Trial) -> Effort:
    """What is built and asked; how long an index takes to build is not known before it is."""
    names, queries = planned.names, len(planned.subject.queries)
    rows = [
        ("indexes built", f"{len(planned.indexes):,}, one of them exact"),
        ("settings", f"{len(names):,}: {', '.join(names)}"),
        ("searches untimed", f"{len(names) * queries:,}"),
        ("live searches", f"{planned.settings.timing.seconds:g} s, {planned.settings.timing.rounds} rounds"),
    ]
    if planned.parts.reranker is not None:
        rows.append(("pairs reranked", f"at least {planned.parts.depth * queries:,}, each once"))
    if planned.settings.cold is not None:
        cold, able = planned.settings.cold, len(reopened(planned))
        rows.append(
            ("cold", f"{able:,} indexes opened again {cold.restarts:,} times, each asked {cold.queries:,} questions")
        )
    if planned.settings.churn is not None:
        rows.append(("churn", _churn_words(planned)))
    return Effort(rows, None)


def _churn_words(planned: StoresPlan) -> str:
    """How many indexes are filled twice more, how long they are written to, and which cannot be."""
    able = churned(planned)
    left = [index.name for index in planned.indexes[1:] if index not in able]
    seconds = 0.0 if planned.settings.churn is None else planned.settings.churn.seconds
    words = f"{len(able):,} indexes built twice more, each written to for {seconds:g} s or longer"
    return f"{words}; {', '.join(left)} cannot be changed" if left else words


STUDY: Study[StoresPlan, StoresSection] = Study(
    name="stores",
    plan=plan,
    is_asked=lambda config: bool(config.stores.indexes),
    estimate=estimate,
    record=record_stores,
    judge=judge_stores,
    price=price_stores,
    section=StoresSection,
    analyse=analyse,
    show=show,
    print=stores_table,
    is_recorded=is_compared,
    belongs=stores_belong,
    left_out=(
        "The stores in this folder were compared on another corpus, other questions, pipelines or judgements and are "
        "left out; make it anew with 'ragprof stores'."
    ),
)
