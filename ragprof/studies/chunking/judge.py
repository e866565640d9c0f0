"""The judge pass over a chunking recording: chunking/spans.parquet and chunking/cut.parquet, and scores of variants.

A question's spans are those that a file marks for it, else its gold answers (`answers` in the query's metadata) where
one stands word for word in a relevant document, else its whole relevant documents. So labels belong to documents, and
hold for whatever passages there are.
"""

from __future__ import annotations

import pandas as pd

from ragprof.core import files
from ragprof.core.clock import step
from ragprof.core.recorded import write_sealed
from ragprof.core.tokens import counter, remembering
from ragprof.corpus import EvaluationSet
from ragprof.evals.recorded import RANKING
from ragprof.record.recording import Bench
from ragprof.record.variants import variant_folder
from ragprof.studies.chunking.record import ChunkingPlan, whole_documents
from ragprof.studies.chunking.recorded import MANIFEST, PLACED
from ragprof.studies.chunking.spans import TextSpan, answer_spans, token_scores
from ragprof.studies.variants import judge_variants, metrics_of

NUMBERS = ("recall", "precision", "iou")


def judge_chunking(plan: ChunkingPlan, evaluation: EvaluationSet, bench: Bench) -> None:
    """Scores of documents by ir_measures, and of spans by tokens."""
    place = bench.folder / "chunking"
    manifest = MANIFEST.read(place / "manifest.json")
    judge_variants(place, evaluation, metrics_of(plan.metric))
    texts = whole_documents(plan.read)
    count = counter(plan.subject.config.tokenizer)
    answers: dict[str, list[TextSpan]] = {}
    wanted: dict[str, list[TextSpan]] = {}
    for query in plan.subject.queries:
        grades = evaluation.qrels.get(query.query_id, {})
        relevant = [name for name, grade in grades.items() if grade > 0 and name in texts]
        given = query.metadata.get("answers")
        marked = plan.marked.spans.get(query.query_id)
        spans = list(marked or answer_spans([each for each in given or () if isinstance(each, str)], relevant, texts))
        if spans:
            answers[query.query_id] = spans
        wanted[query.query_id] = spans or [TextSpan(name, 0, len(texts[name])) for name in relevant]
    scores, cut = [], []
    with remembering(), step(bench.progress, "judge spans", len(manifest["cuts"])):
        for variant in manifest["cuts"]:
            here = variant_folder(place, variant)
            placed = PLACED.read(here / "placed.parquet")
            spans = [TextSpan(*row) for row in placed[["document_id", "start", "end"]].itertuples(index=False)]
            at = dict(zip(placed["doc_id"], spans, strict=True))
            of: dict[str, list[TextSpan]] = {}
            for span in spans:
                of.setdefault(span.document_id, []).append(span)
            for query_id, mine in answers.items():
                whole = any(passage.holds(span) for span in mine for passage in of.get(span.document_id, ()))
                cut.append({"variant": variant, "query_id": query_id, "cut": not whole})
            for parts in plan.subject.pipelines:
                ranking = RANKING.read(here / "rankings" / f"{parts.name}.parquet")
                inside = ranking[ranking["stage"] == "inject"].groupby("query_id")["doc_id"].agg(list).to_dict()
                for query_id, spans_of in wanted.items():
                    if spans_of:
                        held = [at[doc_id] for doc_id in inside.get(query_id, ())]
                        values = dict(zip(NUMBERS, token_scores(spans_of, held, texts, count), strict=True))
                        scores.append({"variant": variant, "pipeline": parts.name, "query_id": query_id, **values})
            bench.progress.advance(1)
    files.write_table(
        place / "spans.parquet", pd.DataFrame(scores, columns=["variant", "pipeline", "query_id", *NUMBERS])
    )
    files.write_table(place / "cut.parquet", pd.DataFrame(cut, columns=["variant", "query_id", "cut"]))
    facts = {
        "recording": manifest["recording"], "qrels_sha256": evaluation.qrels_sha256,
        "metric": metrics_of(plan.metric)[0], "answered": len(answers) - len(plan.marked.spans),
        "marked": len(plan.marked.spans), "left_out": plan.marked.left_out,
    }  # fmt: skip
    write_sealed(place / "judgement.json", facts, "spans.parquet", "cut.parquet")
