"""Corpora and evaluation sets, read from what people have: BEIR folders, JSONL, TREC files, folders of files, recipes.

What is wrong with a file is said with its line, before anything is embedded. Nothing here downloads.
"""

from ragprof.corpus.collection import (
    Chunking,
    Corpus,
    EvaluationSet,
    Passages,
    WholeCorpus,
    fingerprint_of_docs,
    fingerprint_of_qrels,
)
from ragprof.corpus.evaluation import (
    OwnDocuments,
    read_evaluation_set,
    read_qrels,
    read_queries,
    with_own_documents,
)
from ragprof.corpus.folder import ReadingRules, check_readers
from ragprof.corpus.formats import FORMATS, read_corpus
from ragprof.corpus.jsonl import read_beir_folder_paths
from ragprof.corpus.recipes import Recipe, build, find, info, installed_versions
from ragprof.corpus.stored import take_stored

__all__ = [
    "FORMATS",
    "Chunking",
    "Corpus",
    "EvaluationSet",
    "OwnDocuments",
    "Passages",
    "ReadingRules",
    "Recipe",
    "WholeCorpus",
    "build",
    "check_readers",
    "find",
    "fingerprint_of_docs",
    "fingerprint_of_qrels",
    "info",
    "installed_versions",
    "read_beir_folder_paths",
    "read_corpus",
    "read_evaluation_set",
    "read_qrels",
    "read_queries",
    "take_stored",
    "with_own_documents",
]
