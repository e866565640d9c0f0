"""Price: recording + rates -> costs. Knows money; reads no clock and no qrels.

`price_recording` writes costs.parquet and rates.json into a recording's folder, `read_pricing` reads them again (a
study prices what it recorded in a step of its own), `rate_names` lists what may stand under `prices` besides
`provider:model`, `region_named` and `cost_of` turn joules into USD and kg CO2e. Names are imported when they are used:
`ragprof list` reads the rates and needs no tables.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ragprof.price.bills import check_rate, price_recording
    from ragprof.price.energy import EnergyCost, RegionEnergy, cost_of, region_named
    from ragprof.price.pricing import PipelinePricing, PricedRecording, read_pricing
    from ragprof.price.rates import rate_names


__all__ = [
    "EnergyCost",
    "PipelinePricing",
    "PricedRecording",
    "RegionEnergy",
    "check_rate",
    "cost_of",
    "price_recording",
    "rate_names",
    "read_pricing",
    "region_named",
]

_HOMES = {
    "EnergyCost": "ragprof.price.energy",
    "PipelinePricing": "ragprof.price.pricing",
    "PricedRecording": "ragprof.price.pricing",
    "RegionEnergy": "ragprof.price.energy",
    "check_rate": "ragprof.price.bills",
    "cost_of": "ragprof.price.energy",
    "price_recording": "ragprof.price.bills",
    "rate_names": "ragprof.price.rates",
    "read_pricing": "ragprof.price.pricing",
    "region_named": "ragprof.price.energy",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'ragprof.price' has no attribute '{name}'")
    return getattr(import_module(_HOMES[name]), name)
