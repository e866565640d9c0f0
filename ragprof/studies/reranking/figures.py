"""How figures about a reranker are made and written: means in every resample, sign-flip tests, estimates and money.

Arrays hold one value a query, in the order of `data.query_ids`, NaN where it is not known; a mean in every resample is
an array of 1 + replicates, row 0 what was found. Money is computed in floats and written as a decimal string of six
significant digits; what is not known is None, never 0. Reads no file.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import numpy as np

from ragprof.price.pricing import plain
from ragprof.studies.query_draws import Array, ends
from ragprof.studies.reranking import means as on_draws
from ragprof.studies.reranking.data import RerankerData

FLIPS = 9_999
NOISE = 12
"""Decimals of USD beyond which there is rounding only."""


def means(data: RerankerData, values: Array) -> Array:
    """(queries,) -> (1 + replicates,); (n, queries) -> (1 + replicates, n).

    A query without a value takes no part; NaN where a resample drew no query that has one.
    """
    found = on_draws.means(data.draws, np.atleast_2d(values).T)
    return np.asarray(found[:, 0] if values.ndim == 1 else found)


def estimate(data: RerankerData, values: Array) -> dict[str, Any]:
    """{"mean", "interval", "n"} of the mean over queries."""
    return on_draws.estimate(data.draws, values)


def known(values: Array) -> int:
    """How many queries have a value."""
    return int((~np.isnan(values)).sum())


def money(usd: float | None) -> str | None:
    """None where it is not known or infinite."""
    if usd is None or not np.isfinite(usd):
        return None
    return plain(Decimal(repr(round(float(usd), NOISE))))


def found_money(usd: Array | None) -> str | None:
    """What was found, row 0, of a figure in every resample."""
    return None if usd is None else money(float(usd[0]))


def money_ends(usd: Array | None, n: int) -> list[str | None] | None:
    """The interval of a figure in every resample; None below two queries, an end that is infinite is None."""
    found = None if usd is None or n < 2 or np.isnan(usd[0]) else ends(usd)
    return None if found is None else [money(end) for end in found]


def dollars(usd: float) -> str:
    """For sentences: $ and three significant digits."""
    text = plain(Decimal(f"{abs(usd):.3g}"))
    return f"-${text}" if usd < 0 else f"${text}"


def sign_flip_ps(differences: Array, *, seed: int) -> list[float]:
    """p of the two-sided paired randomisation test of each row of (n, queries): the same flips for all of them.

    As ragprof.statistics.paired_p: every pattern of signs where there are at most 9,999 of them, else 9,999 drawn ones
    and the one that was found. 1.0 where no query differs. NaN counts as no difference.
    """
    rows = np.nan_to_num(differences)
    patterns = _signs(rows.shape[1], seed)
    found = np.abs(rows.sum(1))
    beyond = (np.abs(patterns @ rows.T) >= found * (1 - 1e-12) - 1e-12).sum(0)
    drawn = int(len(patterns) == FLIPS)
    return [float(each) for each in (beyond + drawn) / (len(patterns) + drawn)]


def _signs(queries: int, seed: int) -> Array:
    """(patterns, queries) of -1 and 1."""
    if 2**queries <= FLIPS:
        places = np.arange(2**queries)[:, None] >> np.arange(queries)
        return np.asarray((places & 1) * 2.0 - 1.0)
    drawn = np.random.default_rng(seed).integers(0, 2, size=(FLIPS, queries), dtype=np.int8)
    return np.asarray(drawn * 2.0 - 1.0)
