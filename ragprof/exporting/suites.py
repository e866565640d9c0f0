"""Samples in the words of other suites: Ragas' SingleTurnSample as JSON Lines, DeepEval's test cases as JSON.

A file a pipeline. What is not known is null, never an empty text. No package of either suite is needed.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ragprof import files
from ragprof.exporting.samples import Sample


def write_ragas(stem: Path, samples: Sequence[Sample]) -> Path:
    """`stem`.jsonl for EvaluationDataset.from_jsonl: in ASCII, which that reads the same in every locale."""
    path = stem.with_name(f"{stem.name}.jsonl")
    lines = (json.dumps(ragas_sample(sample), ensure_ascii=True) + "\n" for sample in samples)
    files.write_text(path, "".join(lines))
    return path


def ragas_sample(sample: Sample) -> dict[str, Any]:
    """Fields of SingleTurnSample, and the query's id. Ids are those of documents, as the judgements have them."""
    return {
        "query_id": sample.query_id,
        "user_input": sample.question,
        "retrieved_contexts": [doc.content for doc in sample.contexts],
        "retrieved_context_ids": [doc.document_id for doc in sample.contexts],
        "reference_context_ids": list(sample.relevant),
        "response": sample.response,
        "reference": sample.reference,
    }


def write_deepeval(stem: Path, samples: Sequence[Sample]) -> Path:
    """`stem`.json for EvaluationDataset.add_goldens_from_json_file and add_test_cases_from_json_file."""
    path = stem.with_name(f"{stem.name}.json")
    files.write_json(path, [deepeval_case(sample) for sample in samples])
    return path


def deepeval_case(sample: Sample) -> dict[str, Any]:
    """Fields of LLMTestCase and Golden. Without tools: the loaders take a missing list of tools, and no null."""
    return {
        "name": sample.query_id,
        "input": sample.question,
        "actual_output": sample.response,
        "expected_output": sample.reference,
        "retrieval_context": [doc.content for doc in sample.contexts],
        "additional_metadata": {
            "query_id": sample.query_id,
            "pipeline": sample.pipeline,
            "retrieved_document_ids": [doc.document_id for doc in sample.contexts],
            "relevant_document_ids": list(sample.relevant),
        },
    }
