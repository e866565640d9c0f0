"""What a test holds in its hand: the figures of one recording or baseline, asked for one by one or against another."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from ragprof.errors import BadInput
from ragprof.pytest_plugin import estimates
from ragprof.pytest_plugin.cases import Case
from ragprof.pytest_plugin.checks import Check
from ragprof.pytest_plugin.figures import Figure
from ragprof.studies.compare.evidence import Evidence

if TYPE_CHECKING:
    from ragprof.pytest_plugin.gating import Given


@dataclass(frozen=True, eq=False, repr=False)
class Result:
    """Figures of a recording, by name. `folder` is where it lies, `read` gives what is in it, when first asked.

    A pipeline may be left out where there is one. Whatever is not recorded raises UnknownName with what there is.
    """

    label: str
    folder: Path
    read: Callable[[], Evidence]
    case: Case

    @cached_property
    def evidence(self) -> Evidence:
        return self.read()

    @property
    def pipelines(self) -> tuple[str, ...]:
        return self.evidence.pipelines

    @property
    def report(self) -> Path:
        return self.folder / "report.html"

    def __repr__(self) -> str:
        return f"<ragprof {self.label}>"

    def metric(self, name: str, *, stage: str | None = None, pipeline: str | None = None) -> Figure:
        """Mean of a metric over queries, after `search`, `rerank` or `inject`; without a stage the final ranking's."""
        chosen = estimates.pipeline_of(self.evidence, pipeline)
        return self._figure(chosen, estimates.quality(self.evidence, chosen, name, stage))

    def latency(self, quantile: str, *, stage: str | None = None, pipeline: str | None = None) -> Figure:
        """`p50`, `p95` or `p99` in ms, of a stage or end to end."""
        chosen = estimates.pipeline_of(self.evidence, pipeline)
        return self._figure(chosen, estimates.latency(self.evidence, chosen, quantile, stage))

    def usage(self, name: str, *, pipeline: str | None = None) -> Figure:
        """Mean count a query of what a stage uses, by its full name: `inject.prompt_tokens`, `rerank.docs_scored`."""
        chosen = estimates.pipeline_of(self.evidence, pipeline)
        return self._figure(chosen, estimates.usage(self.evidence, chosen, name))

    def cost(self, *, stage: str | None = None, pipeline: str | None = None) -> Figure:
        """USD per 1,000 queries, of a stage or in all. Raises BadInput where a rate is missing: that is not 0."""
        chosen = estimates.pipeline_of(self.evidence, pipeline)
        return self._figure(chosen, estimates.cost(self.evidence, chosen, stage))

    def no_worse_than(
        self,
        baseline: str | Path | Result,
        *,
        margins: Mapping[str, Given] | None = None,
        quantities: Mapping[str, Given] | None = None,
        pipelines: Sequence[str] | None = None,
    ) -> Check:
        """Paired by query: fails where a quantity got worse by more than its margin, and that is no chance.

        The baseline is a name (`ragprof_baselines/<name>` beside the test), the folder of a baseline or recording, or
        another result. Without more, every metric of the final ranking, the prompt's tokens and the bill are compared;
        `margins` says by kind how much worse each may get, such as {"quality": 0.02, "latency": 0.3}; `quantities`
        names what is compared instead, such as {"nDCG@10": 0.01, "rerank.latency_p95": {"absolute": 5}}. A number is
        absolute for metrics and relative for everything else.
        """
        from ragprof.pytest_plugin.comparisons import no_worse
        from ragprof.pytest_plugin.gating import gate_for

        asked = gate_for(margins=margins, quantities=quantities, pipelines=pipelines)
        return self.case.made(no_worse(self, against(baseline, self.case), asked))

    def _figure(self, pipeline: str, measured: estimates.Measured) -> Figure:
        estimate = measured.estimate
        if estimate.mean is None:
            raise BadInput(f"{measured.quantity.label} of {pipeline} was measured for no query; record it again")
        return Figure(
            quantity=measured.quantity,
            pipeline=pipeline,
            value=estimate.mean,
            interval=estimate.interval,
            n=estimate.n,
            by_query=measured.by_query,
            rankings=self.evidence.rankings,
            case=self.case,
        )


@dataclass(frozen=True, eq=False, repr=False)
class Baseline(Result):
    """A result that was kept under a name. It is there from the first `pytest --ragprof-update` on."""

    def __repr__(self) -> str:
        return f"<ragprof baseline {self.label}>"


def against(given: str | Path | Result, case: Case) -> Result:
    """What a result is compared with, from whatever a test may give for it."""
    from ragprof.pytest_plugin.snapshots import baseline_named, is_name, side_at

    if isinstance(given, Result):
        return given
    if is_name(given):
        return baseline_named(str(given), case)
    return side_at(given, case)
