"""The audit as a study: is every stage's outcome the same when the same work is done again, or in another way?"""

from __future__ import annotations

from dataclasses import dataclass

from ragprof.core.errors import BadInput
from ragprof.corpus import EvaluationSet
from ragprof.record.recording import Bench, Subject
from ragprof.record.trial import Trial
from ragprof.report.figures import counted
from ragprof.studies.audit.analysis import analyse, audit_belongs, is_audited
from ragprof.studies.audit.checks import ANSWERED
from ragprof.studies.audit.judge import judge_audit
from ragprof.studies.audit.record import record_audit
from ragprof.studies.audit.section import AuditSection
from ragprof.studies.audit.tables import audit_table, show
from ragprof.studies.contract import Effort, Request, Study
from ragprof.studies.preparation import Prepared, answering

TIMES, QUERIES = 5, 20
"""What is asked where nobody says: enough to see what differs often, in minutes."""


@dataclass(frozen=True)
class AuditPlan:
    """The pipelines, how many queries of a seeded sample they are asked, and how often."""

    subject: Subject
    times: int
    queries: int


def plan(prepared: Prepared, request: Request) -> AuditPlan:
    """Lay out the sample. Raises BadInput for a number of repetitions or queries that cannot be asked.

    Of `request.changes` it reads `times`, `queries` (None for the usual number) and `answers`: with it, pipelines
    without a generator of their own get that of [injection].
    """
    prepared = prepared.without_apps("audit")
    times, queries = int(request.changes.get("times", TIMES)), request.changes.get("queries")
    there = len(prepared.subject.queries)
    if queries is not None and not 1 <= queries <= there:
        raise BadInput(f"queries = {queries}, but the eval has {counted(there, 'judged question')}; give 1 to {there}")
    if times < 2:
        raise BadInput(f"times = {times}, but what is asked once cannot differ; give 2 or more")
    subject = prepared.subject
    if request.changes.get("answers"):
        subject = answering(prepared, subject.config.injection.generator, [parts.name for parts in subject.pipelines])
    return AuditPlan(subject, times, min(QUERIES, there) if queries is None else queries)


def estimate(planned: AuditPlan, trial: Trial) -> Effort:
    """What the audit asks, live."""
    pipelines = planned.subject.pipelines
    asked = len(pipelines) * planned.times * planned.queries
    many = (
        f"{counted(planned.queries, 'query', 'queries')}, {planned.times} times, {counted(len(pipelines), 'pipeline')}"
    )
    words = f"{asked:,} ({many})"
    generators = sum(parts.generator is not None for parts in pipelines)
    answers = generators * planned.times * min(ANSWERED, planned.queries)
    seconds = planned.times * planned.queries * sum(trial.pipelines[parts.name].query_s for parts in pipelines)
    rows = [("live queries", words), *([("answers", f"{answers:,}")] if answers else [])]
    return Effort(rows, None if answers else seconds)


def record(planned: AuditPlan, bench: Bench) -> None:
    record_audit(planned.subject, bench, times=planned.times, queries=planned.queries)


def judge(planned: AuditPlan, evaluation: EvaluationSet, bench: Bench) -> None:
    judge_audit(bench.folder, evaluation, metric=planned.subject.config.metrics[0])


STUDY: Study[AuditPlan, AuditSection] = Study(
    name="audit",
    plan=plan,
    estimate=estimate,
    record=record,
    judge=judge,
    section=AuditSection,
    analyse=analyse,
    show=show,
    print=audit_table,
    needs_profile=False,
    is_recorded=is_audited,
    belongs=audit_belongs,
    left_out=(
        "The audit in this folder is of another corpus, other questions, pipelines or judgements and is left out; "
        "make it anew with 'ragprof audit'."
    ),
)
