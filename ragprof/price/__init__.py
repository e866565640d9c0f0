"""Price: recording + rates -> costs. Knows money; reads no clock and no qrels.

`price_recording` writes costs.parquet and rates.json into a recording's folder, `read_pricing` reads them again,
`rate_names` lists what may stand under `prices` besides `provider:model`. Names are imported when they are used:
`ragprof list` reads the rates and needs no tables.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ragprof.price.costs import check_rate, price_recording
    from ragprof.price.pricing import PipelinePricing, Pricing, read_pricing
    from ragprof.price.rates import rate_names

__all__ = ["PipelinePricing", "Pricing", "check_rate", "price_recording", "rate_names", "read_pricing"]

_HOMES = {
    "PipelinePricing": "ragprof.price.pricing",
    "Pricing": "ragprof.price.pricing",
    "check_rate": "ragprof.price.costs",
    "price_recording": "ragprof.price.costs",
    "rate_names": "ragprof.price.rates",
    "read_pricing": "ragprof.price.pricing",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'ragprof.price' has no attribute '{name}'")
    return getattr(import_module(_HOMES[name]), name)
