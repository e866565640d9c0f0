"""Price: recording + rates -> costs. Knows money; reads no clock and no qrels.

`price_recording` writes costs.parquet and rates.json into a recording's folder, `read_pricing` reads them again,
`rate_names` lists what may stand under `prices` besides `provider:model`.
"""

from ragprof.price.costs import check_rate, price_recording
from ragprof.price.pricing import PipelinePricing, Pricing, read_pricing
from ragprof.price.rates import rate_names

__all__ = ["PipelinePricing", "Pricing", "check_rate", "price_recording", "rate_names", "read_pricing"]
