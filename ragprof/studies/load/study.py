"""Load as a study: how many questions a second keep the promise, what breaks first, and what a question costs then?"""

from __future__ import annotations

from ragprof.record.trial import Trial
from ragprof.report.figures import rough_duration
from ragprof.studies.contract import Effort, Study
from ragprof.studies.load.analysis import analyse, is_loaded, load_belongs
from ragprof.studies.load.decision import decision_page, decisions
from ragprof.studies.load.plan import LoadPlan, plan
from ragprof.studies.load.price import price_load
from ragprof.studies.load.record import CLOSED, record_load
from ragprof.studies.load.section import LoadSection
from ragprof.studies.load.tables import load_table, show
from ragprof.studies.load.words import worker_words


def estimate(planned: LoadPlan, _trial: Trial) -> Effort:
    """What is asked, for how long, and what is promised."""
    settings = planned.settings
    seconds = settings.seconds * (1 + CLOSED * len(settings.concurrency)) * len(planned.targets)
    names = ", ".join(target.name for target in planned.targets)
    workers = worker_words(planned.workers, settings.pool)
    rows = [
        ("targets", f"{len(planned.targets):,}, {rough_duration(settings.seconds)} each: {names}"),
        ("promise", f"{planned.promise}, at most {100 * settings.slo.error_rate:.3g}% failed"),
        (
            "asked by",
            f"{workers}; arrivals: {settings.arrivals}",
        ),
    ]
    if planned.most_requests is not None:
        rows.append(("requests", f"at most {planned.most_requests:,}, which the budget pays for"))
    return Effort(rows, seconds)


STUDY: Study[LoadPlan, LoadSection] = Study(
    name="load",
    plan=plan,
    is_asked=lambda config: "load" in config.model_fields_set,
    estimate=estimate,
    record=record_load,
    price=price_load,
    section=LoadSection,
    analyse=analyse,
    show=show,
    print=load_table,
    decisions=decisions,
    pages={"decision.md": decision_page},
    asks_apps=True,
    is_recorded=is_loaded,
    belongs=load_belongs,
    left_out=(
        "The load in this folder was put on other pipelines, another corpus, other questions or another machine and is "
        "left out; make it anew with 'ragprof load'."
    ),
)
