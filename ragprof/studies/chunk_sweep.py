"""What k chunks, or chunks within a budget, bring and take: one row a setting. Reads no file."""

from __future__ import annotations

from typing import Any

import pandas as pd

from ragprof.studies.answer_bills import Bill, usd_for_each, usd_interval, usd_per_1000
from ragprof.studies.query_draws import Draws, estimated

MEASURES = {
    "prompt_tokens": "model_tokens",
    "answer_f1": "f1",
    "exact_match": "exact_match",
    "correct": "correct",
    "answer_in_context": "in_context",
    "answer_in_answer": "in_answer",
    "ndcg": "ndcg",
}
"""Key of the summary -> column of the cells."""
TOKENS = {
    "template": "template_tokens",
    "question": "query_tokens",
    "relevant": "relevant_tokens",
    "irrelevant": "irrelevant_tokens",
    "unjudged": "unjudged_tokens",
    "duplicate": "duplicate_tokens",
    "truncated": "truncated_tokens",
}


def row(asked: pd.DataFrame, timed: pd.DataFrame, bill: Bill | None, *, draws: Draws, seed: int) -> dict[str, Any]:
    """A setting's row of `by_k` or `by_budget`, without its k or budget.

    `asked` are the answerable questions by query_id, `timed` the means over rounds of those that were timed.
    `usd_per_relevant_token` is the whole bill of a question over its relevant tokens.
    """
    tokens = {key: _mean(asked[column]) for key, column in TOKENS.items()}
    return {
        **{key: estimated(asked[column], seed=seed) for key, column in MEASURES.items()},
        "time_to_first_token_ns": estimated(timed["first_token_ns"], seed=seed),
        "usd_per_1000_queries": usd_per_1000(bill),
        "usd_interval": usd_interval(bill, draws),
        "tokens": tokens,
        "usd_per_relevant_token": usd_for_each(bill, tokens["relevant"]),
    }


def _mean(values: pd.Series) -> float | None:
    known = values.dropna()
    return float(known.mean()) if len(known) else None
