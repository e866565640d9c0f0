"""Published collections, where they are at hand: the counts that their makers give."""

from pathlib import Path

import pytest

from ragprof.corpus import read_beir_folder_paths, read_corpus, read_evaluation_set

DATA = Path(__file__).parents[2].parent / "shared" / "data" / "beir"


@pytest.mark.shared_data
@pytest.mark.parametrize(
    ("name", "docs", "queries", "judgements"),
    [("scifact", 5183, 300, 339), ("xquad-en", 240, 1190, 1190), ("clapnq-dev", 597, 300, 300)],
)
def test_counts_agree_with_the_published_ones(name: str, docs: int, queries: int, judgements: int) -> None:
    folder = DATA / name
    if not folder.is_dir():
        pytest.skip(f"the collection {name} is not in ../shared/data/beir")
    corpus = read_corpus(folder)
    evaluation = read_evaluation_set(*read_beir_folder_paths(folder), corpus=corpus)
    assert (corpus.name, len(corpus.docs), len(evaluation.queries)) == (name, docs, queries)
    assert sum(len(judged) for judged in evaluation.qrels.values()) == judgements
    assert (evaluation.notices, evaluation.judged_documents_missing) == ((), 0)
