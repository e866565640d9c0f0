"""What a report says of judgements that `ragprof label` made: naive and corrected figures side by side, and what they
keep open."""

from __future__ import annotations

from pathlib import Path

from ragprof.judge.labelled import LABELLED, LABELLED_FILE
from ragprof.labels.agreement import same_family
from ragprof.report import figures
from ragprof.report.tables import Cell, Column, Row, Table, group
from ragprof.statistics.powered import FEWEST_DRAWN
from ragprof.studies.contract import EstimateValue, Section


class LabelledFigure(Section):
    """A mean by the model's grades of all queries, and corrected by people's of those that were drawn."""

    what: str
    """A pipeline, `candidate - baseline`, or `gain of` a pipeline's reranker over its own search."""
    metric: str
    naive: EstimateValue
    corrected: EstimateValue | None
    """None below the fewest queries that an interval needs."""
    power: float
    """How much of the model's grades went in, 0 to 1."""


class JudgesAgree(Section):
    """Two judges on the passages that both graded. `confusion[a][b]` counts first's grade a where second gave b."""

    first: str
    second: str
    pairs: int
    agreement: float
    kappa: float | None
    """Of relevant (1 or more) against not; None where chance alone makes both agree."""
    kappa_interval: tuple[float, float] | None
    weighted_kappa: float | None
    """Of all four grades, with quadratic weights."""
    weighted_interval: tuple[float, float] | None
    confusion: tuple[tuple[int, ...], ...]


class MissedPassages(Section):
    """Relevant passages for each query that no pipeline ranks high, by a random sample from below the pool."""

    mean: float
    interval: tuple[float, float]
    found: int
    judged: int


class LabelledQuality(Section):
    """Figures that rest on a model's grades."""

    models: tuple[str, ...]
    people: int
    """How many people judged."""
    queries: int
    drawn: int
    """Queries of which people judged every pooled passage, drawn with known chances."""
    skipped: int
    """Passages of them that people skipped: they keep the model's grade."""
    imported: int = 0
    """Pooled passages with a grade that was imported."""
    changed: int = 0
    """Judgements and questions that no longer count, because words were changed or questions removed."""
    beyond_pool: tuple[str, ...] = ()
    """Metrics that look deeper into some ranking than passages were pooled."""
    figures: tuple[LabelledFigure, ...]
    missed: MissedPassages | None
    agreements: tuple[JudgesAgree, ...] = ()

    @property
    def checked(self) -> bool:
        """Whether people judged enough for a corrected interval."""
        return self.drawn >= FEWEST_DRAWN

    def of(self, what: str) -> LabelledFigure | None:
        return next((each for each in self.figures if each.what == what), None)


def labelled_quality(folder: Path) -> LabelledQuality | None:
    """What labelled.json of a recording says; None where its judgements were not made by `ragprof label`."""
    path = folder / LABELLED_FILE
    if not path.exists():
        return None
    found = LABELLED.read(path)
    return LabelledQuality.model_validate(
        {
            **{key: value for key, value in found.items() if key in LabelledQuality.model_fields},
            "people": len(found["people"]),
        }
    )


def gain_of(pipeline: str) -> str:
    """What the figure of a reranker's gain over its own search is called."""
    return f"gain of {pipeline}"


def labelled_table(quality: LabelledQuality) -> Table:
    """Naive and corrected side by side."""
    columns = (
        Column("Figure", numeric=False), Column("Metric", numeric=False), Column("By the model", "naive"),
        Column("Corrected", "by people"), Column("Power", "of the model"),
    )  # fmt: skip
    few = Cell(f"n/a: {FEWEST_DRAWN} questions are needed", tone="absent")
    rows = []
    for each in quality.figures:
        corrected = few if each.corrected is None else _cell(each.corrected)
        power = Cell("" if each.corrected is None else f"{each.power:.2f}", tone="quiet")
        rows.append(Row((Cell(each.what), Cell(each.metric), _cell(each.naive), corrected, power)))
    note = (
        f"Grades of {quality.queries:,} queries by {', '.join(quality.models)}; people judged "
        f"{quality.drawn:,} of them, drawn with known chances. Corrected figures are prediction-powered (PPI++): the "
        "model's mean less its error on those queries; their intervals hold what the model gets wrong. Both are of "
        "pooled passages alone."
    )
    if quality.drawn or quality.imported:
        note += (
            " The other tables of quality take a person's grade where there is one, else an imported one, else the "
            "model's: their figures are neither of these two."
        )
    if quality.beyond_pool:
        note += (
            f" Rankings reach deeper than passages were pooled: to {', '.join(quality.beyond_pool)} what lies there "
            "counts as not relevant on both sides, which no correction mends; pool deeper with [labels] depth."
        )
    if quality.missed is not None:
        low, high = quality.missed.interval
        note += (
            f" Outside the pools lie an estimated {quality.missed.mean:.1f} (95% CI {low:.1f}\u2013{high:.1f}) "
            f"relevant passages a query, by {quality.missed.judged:,} drawn from there."
        )
    return Table("labelled", "As the model judged, and corrected by people", columns, tuple(rows), note)


def agreement_tables(quality: LabelledQuality) -> list[Table]:
    """How far every two judges agree, and who gave what where the other gave what; nothing with a single judge."""
    if not quality.agreements:
        return []
    of_kappa = {
        Column("Judges", numeric=False): lambda each: Cell(f"{each.first} and {each.second}"),
        Column("Passages", "that both graded"): lambda each: Cell(f"{each.pairs:,}"),
        Column("Alike"): lambda each: Cell(f"{each.agreement:.0%}"),
        Column("Kappa", "relevant or not"): lambda each: _kappa(each.kappa, each.kappa_interval),
        Column("Weighted kappa", "all four grades"): lambda each: _kappa(each.weighted_kappa, each.weighted_interval),
    }
    levels = range(len(quality.agreements[0].confusion))
    columns = (
        Column("Judges", numeric=False), Column("Grade", "of the first"),
        *(Column(str(level), "of the second") for level in levels),
    )  # fmt: skip
    rows = [
        row
        for each in quality.agreements
        for row in group(
            Cell(f"{each.first} and {each.second}"),
            [(Cell(str(level)), *(Cell(f"{count:,}") for count in each.confusion[level])) for level in levels],
        )
    ]
    note = "Kappa is agreement beyond chance (Cohen); its interval resamples questions."
    return [
        Table.of("agreement", "How far judges agree", of_kappa, quality.agreements, note),
        Table("confusion", "What one judge gave where the other gave what", columns, tuple(rows)),
    ]


def _kappa(kappa: float | None, its_interval: tuple[float, float] | None) -> Cell:
    if kappa is None:
        return Cell(figures.ABSENT, tone="absent")
    return Cell(
        f"{kappa:.2f}",
        note="interval n/a" if its_interval is None else "\u2013".join(f"{end:.2f}" for end in its_interval),
    )


def _cell(estimate: EstimateValue) -> Cell:
    if estimate.mean is None:
        return Cell(figures.ABSENT, tone="absent")
    low, high = estimate.interval or (None, None)
    known = low is not None and high is not None
    return Cell(f"{estimate.mean:.3f}", note=f"{low:.3f}\u2013{high:.3f}" if known else "")


def labelled_warning(quality: LabelledQuality) -> str:
    """What a reader must know before believing a figure."""
    said = f"quality rests on grades by {', '.join(quality.models)}; people judged {quality.drawn:,} of "
    said += f"{quality.queries:,} queries"
    if quality.checked:
        said += ": believe the corrected figures, whose intervals hold the model's errors"
    else:
        said += f", too few to correct it: `ragprof label --next 20`, until {FEWEST_DRAWN} are judged"
    if quality.changed:
        said += (
            "; questions or passages were changed since: run `ragprof label` on the eval file, which says what no "
            "longer counts"
        )
    return said


def side_by_side_words(quality: LabelledQuality, metric: str) -> list[str]:
    """A line for each figure of a metric: by the model, and corrected by people."""
    return [f"{each.what}: {_both(each)}" for each in quality.figures if each.metric == metric]


def correction_notes_of(quality: LabelledQuality | None, why: str) -> list[str]:
    """What a study whose own figures are not corrected says: both figures of each pipeline, and `why` no others."""
    if quality is None:
        return []
    metric = quality.figures[0].metric if quality.figures else ""
    both = [
        f"{each.what}: {_both(each)}"
        for each in quality.figures
        if each.metric == metric and " - " not in each.what and not each.what.startswith("gain of ")
    ]
    return [f"Quality rests on grades by {', '.join(quality.models)}. {'; '.join(both)}. {why}"]


def gain_words(quality: LabelledQuality | None, pipeline: str) -> str:
    """What a reranker gains over its own search, by the model and corrected; empty for other judgements."""
    found = None if quality is None else quality.of(gain_of(pipeline))
    if found is None:
        return ""
    rests = (
        ""
        if found.corrected is None
        else (" The verdict rests on the corrected gain; tables and charts of quality on the judgements as they are.")
    )
    return f"On pooled passages it gains {_both(found, signed=True)}.{rests}"


def _both(figure: LabelledFigure, *, signed: bool = False) -> str:
    """`nDCG@10 0.340 by the model, corrected 0.310 (95% CI 0.262\u20130.358)`."""
    sign, between = ("+", " to ") if signed else ("", "\u2013")
    told = f"{figure.metric} {figure.naive.mean:{sign}.3f} by the model"
    if figure.corrected is None or figure.corrected.interval is None:
        return f"{told}, not corrected yet ({FEWEST_DRAWN} questions are needed)"
    low, high = figure.corrected.interval
    return f"{told}, corrected {figure.corrected.mean:{sign}.3f} (95% CI {low:{sign}.3f}{between}{high:{sign}.3f})"


def keeps_open(quality: LabelledQuality | None, pipeline: str, reranker: str) -> tuple[str, str] | None:
    """Why a reranker may not be kept on such judgements, and what would decide it; None where it may.

    A model favours what a reranker of its own family ranks high; and a gain that the model sees may be one that people
    do not.
    """
    if quality is None:
        return None
    related = [model for model in quality.models if same_family(model, reranker)]
    if related and not quality.checked:
        return (
            f"The grades are by {related[0]}, of the reranker's family, and people judged {quality.drawn:,} queries",
            f"{FEWEST_DRAWN - quality.drawn} queries judged by people (`ragprof label --next 20`) would tell",
        )
    gain = quality.of(gain_of(pipeline))
    corrected = None if gain is None else gain.corrected
    if gain is None or corrected is None or corrected.interval is None or corrected.interval[0] is None:
        return None
    if corrected.interval[0] > 0:
        return None
    low, high = corrected.interval
    said = f"By the model it gains {gain.naive.mean:+.3f} {gain.metric}, but corrected by people {corrected.mean:+.3f}"
    return (
        f"{said} (95% CI {low:+.3f} to {high:+.3f})",
        "more queries judged by people (`ragprof label --next 20`) would tell",
    )
