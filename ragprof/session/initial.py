"""`ragprof init`: looks at a folder of documents, a collection or traces, and writes an eval file that runs.

Asks nothing itself: the command line asks, and hands over the answers. Overwrites nothing unless it is told to.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import tomllib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from shlex import quote
from statistics import median

from pydantic import ValidationError

from ragprof.core import DEFAULT_K, Doc
from ragprof.core.clock import SILENT, Progress, step, today
from ragprof.core.counting import counted
from ragprof.core.errors import BadInput
from ragprof.core.files import write_text, written_path
from ragprof.core.registry import PartSpec
from ragprof.corpus import Corpus, ReadingRules, fingerprint_of_docs, read_corpus, read_evaluation_set
from ragprof.corpus.account import shown
from ragprof.corpus.evaluation import QUERY_ID_FIELDS, TABLE_SUFFIXES
from ragprof.corpus.jsonl import filled_lines
from ragprof.evals import read_eval
from ragprof.labels.questions import NAMED, drawn_questions, own_questions
from ragprof.parts.words import CODES, WORDLESS, spoken
from ragprof.price import check_rate
from ragprof.studies.preparation import taken_from
from ragprof.traces.contents import TraceContents, holds_traces, read_contents

LOG_SUFFIXES = (".csv", ".log", ".parquet", ".gz")
"""Files of these kinds have no ids of questions that are of use."""
QUESTION_FILES = ("questions.jsonl", "queries.jsonl", "questions.tsv", "queries.tsv")
JUDGEMENT_FILES = ("qrels.tsv", "judgements.tsv", "qrels.txt")
"""What is looked for beside a folder of documents."""
DEPTH = 20
FIRST_PASSAGES = 1_000
"""A first report needs no more passages."""
MADE_QUESTIONS = 50
RARE = 0.01
"""Languages of fewer passages are likely mistaken for another."""
FEWEST_VOTES = 3
"""A single short passage is, too."""
LLM, MACHINE = "openai:gpt-4o-mini", "aws/m7i.large"
FROM_LOG = 300
"""Questions that are drawn from a log or traces, more of what was asked more often."""
NONE = "none"
"""An answer that leaves out a price, or the questions."""


@dataclass(frozen=True)
class Sight:
    """What there is to read: a corpus, and questions and judgements if they were found with it.

    `rows` say it in words: what and how much. Documents and questions that stand in traces are yet to be written.
    """

    path: Path
    corpus: Corpus
    is_collection: bool
    split: str
    queries: Path | None
    qrels: Path | None
    rows: Sequence[tuple[str, str]]
    language: str
    traces: TraceContents | None = None
    store: str = ""
    """An index that exists, as a pipeline's store is written."""

    def rows_with(self, queries: str | Path | None) -> Sequence[tuple[str, str]]:
        """The rows, with the file of questions that somebody named."""
        named = {} if queries is None else {"questions": str(queries)}
        return [(what, named.get(what, told)) for what, told in self.rows]

    @property
    def name(self) -> str:
        """What an eval of it is called unless somebody says otherwise."""
        whole = self.path.resolve().name
        return eval_name(whole.partition(".")[0] if self.traces else whole.removesuffix(".jsonl"))


@dataclass(frozen=True)
class EvalAnswers:
    """What the eval file is to say. None takes what was found, else the default."""

    name: str | None = None
    queries: str | Path | None = None
    llm: str | None = None
    machine: str | None = None
    reranker: bool = True


@dataclass(frozen=True)
class InitialEval:
    """The eval file that was written, what was found, and what to do next."""

    eval_file: Path
    rows: Sequence[tuple[str, str]]
    next_steps: Sequence[str]
    made: Sequence[Path] = field(default=())
    """Other files that were written."""


def init(
    folder: str | Path | None = None,
    *,
    store: str = "",
    name: str | None = None,
    queries: str | Path | None = None,
    llm: str | None = None,
    machine: str | None = None,
    reranker: bool = True,
    out: str | Path | None = None,
    force: bool = False,
    progress: Progress = SILENT,
) -> InitialEval:
    """Look at a folder of documents, a BEIR folder, a .jsonl file or traces, and write an eval file of it, by default
    `<name>.toml`. Or at an index that exists: `store` as an eval file writes it.

    `llm` and `machine` are rates, "none" for no price; `queries` is a file of questions, or a log of them: CSV or
    traces. Where there are none, up to 50 are made of the documents' headings, so that the eval runs. Of traces, the
    passages that they found become the documents. Raises BadInput for what cannot be read, and for a file that is there
    already unless `force` is given.
    """
    answers = EvalAnswers(name, queries, llm, machine, reranker)
    return write_eval(seen(folder, store, progress=progress), answers, out=out, force=force)


def seen(folder: str | Path | None, store: str, *, progress: Progress = SILENT) -> Sight:
    """What a folder holds, or a store. Raises BadInput unless one of them is given."""
    if (folder is None) == (not store):
        raise BadInput("give a folder of documents, or an index that exists with --store; one of them")
    if folder is None:
        return look_at_store(store, progress=progress)
    return look(written_path(folder), progress=progress)


def look(path: Path, *, progress: Progress = SILENT) -> Sight:
    """Read what is there. Raises BadInput where that is no corpus."""
    if path.is_file() and path.name.lower().endswith((".toml", ".py")):
        raise BadInput(
            "this is no folder of documents; give the folder, a BEIR folder, a .jsonl file or traces", file=path
        )
    if path.is_file() and holds_traces(path):
        return _look_at_traces(path, progress)
    with step(progress, "look at the documents"):
        corpus = read_corpus(path, rules=ReadingRules(), progress=progress)
    is_collection = path.is_dir() and (path / "corpus.jsonl").is_file()
    split, queries, qrels = "test", None, None
    if is_collection and (path / "queries.jsonl").is_file():
        queries = path / "queries.jsonl"
        splits = sorted(each.stem for each in (path / "qrels").glob("*.tsv"))
        split = "test" if "test" in splits or not splits else splits[0]
        qrels = path / "qrels" / f"{split}.tsv" if splits else None
    elif not is_collection:
        beside = path.resolve().parent
        queries = next((beside / each for each in QUESTION_FILES if (beside / each).is_file()), None)
        qrels = next((beside / each for each in JUDGEMENT_FILES if queries and (beside / each).is_file()), None)
    language, spoken_in = _languages(corpus)
    rows = [*_rows(corpus, spoken_in), ("questions", _named(queries)), ("judgements", _named(qrels))]
    return Sight(path, corpus, is_collection, split, queries, qrels, rows, language)


def look_at_store(written: str, *, progress: Progress = SILENT) -> Sight:
    """Take the documents of an index that exists, named as a pipeline's store is. Raises BadInput."""
    example = '{ name = "pgvector", url_env = "DATABASE_URL", table = "chunks" }'
    try:
        spec = PartSpec.model_validate(tomllib.loads(f"store = {written}")["store"])
    except (tomllib.TOMLDecodeError, ValidationError):
        raise BadInput(f"--store '{written}' is no store; write it as in an eval file, such as {example}") from None
    folder = taken_from(spec, progress)
    if folder is None:
        raise BadInput(f"the store '{spec.name}' opens no index that exists; name its table, such as {example}")
    corpus = read_corpus(folder)
    language, spoken_in = _languages(corpus)
    rows = [*_sizes(corpus, spoken_in), ("questions", _named(None)), ("judgements", _named(None))]
    place = next((str(spec.options[key]) for key in ("table", "collection") if key in spec.options), spec.name)
    return Sight(Path(place), corpus, False, "test", None, None, rows, language, store=written)


def _look_at_traces(path: Path, progress: Progress) -> Sight:
    """The passages of traces as a corpus. Raises BadInput where no passage has a text."""
    found = read_traces(path, progress)
    account = found.account
    spans = f"{account.spans.total():,} spans ({', '.join(account.spans)})"
    services = f"{counted(len(found.services), 'service')}: {shown(list(found.services))}"
    if not found.passages:
        raise BadInput(
            f"no passage in these {counted(found.traces, 'trace')} has a text, so there is no document to search "
            f"({len(found.without_text):,} have ids alone); give the folder that they are of, with these questions: "
            f"ragprof init FOLDER --queries {path.name}",
            file=path,
        )
    docs = tuple(Doc(name, "", text, document_id=name) for name, text in found.passages.items())
    corpus = Corpus(path.name, docs, fingerprint_of_docs(docs), {"format": "jsonl"})
    language, spoken_in = _languages(corpus)
    unread = f"; {counted(account.unread, 'line')} cannot be read" if account.unread else ""
    rows = [
        ("traces", f"{counted(found.traces, 'trace')}, {spans}, {services}{unread}"),
        *(
            [("left out", f"{counted(len(found.without_text), 'passage')} without a text")]
            if found.without_text
            else []
        ),
        *_sizes(corpus, spoken_in),
        ("questions", f"{counted(len(found.questions), 'trace')} with a question"),
        ("judgements", _named(None)),
    ]
    return Sight(path, corpus, False, "test", None, None, rows, language, found)


def read_traces(path: Path, progress: Progress) -> TraceContents:
    """What the traces of a file say in words."""
    size = max(2, path.stat().st_size)
    with step(progress, "read the traces", size):
        return read_contents(path, progress.advance)


def _named(path: Path | None) -> str:
    return "none found" if path is None else str(path)


def _languages(corpus: Corpus) -> tuple[str, str]:
    """The code that most passages vote for, and the shares of all in words."""
    votes = spoken([doc.text for doc in corpus.docs])
    if votes.total() < FEWEST_VOTES:
        return "", "too little text to tell"
    names = {code: language for language, code in CODES.items()} | {WORDLESS: "none, such as tables of figures"}
    shares = [(names.get(code, code), count / votes.total()) for code, count in votes.most_common(5)]
    told = ", ".join(f"{language} {share:.0%}" for language, share in shares if share >= RARE)
    of_words = [code for code, _ in votes.most_common() if code != WORDLESS]
    return of_words[0] if of_words else "", f"{told} of {counted(votes.total(), 'passage')} that were looked at"


def _rows(corpus: Corpus, languages: str) -> list[tuple[str, str]]:
    """Formats, what was left out, sizes, languages and duplicates."""
    return [
        ("read", str(corpus.account)),
        *(("left out", str(each)) for each in corpus.account.left_out),
        *(("parsed", str(each)) for each in corpus.account.parsed),
        *_sizes(corpus, languages),
    ]


def _sizes(corpus: Corpus, languages: str) -> list[tuple[str, str]]:
    documents = defaultdict[str, list[Doc]](list)
    for doc in corpus.docs:
        documents[doc.document_id].append(doc)
    lengths = sorted(sum(len(doc.text) for doc in some) for some in documents.values())
    seen, copies = set[str](), list[str]()
    for document_id, some in documents.items():
        content = hashlib.sha256("\0".join(doc.text for doc in some).encode()).hexdigest()
        copies += [document_id] if content in seen else []
        seen.add(content)
    duplicates = f"{counted(len(copies), 'exact copy', 'exact copies')}: {shown(copies)}" if copies else "no exact copy"
    return [
        ("corpus", f"{counted(len(documents), 'document')}, {counted(len(corpus.docs), 'passage')}"),
        ("lengths", f"median {median(lengths):,.0f} characters a document, longest {lengths[-1]:,}"),
        ("languages", languages),
        ("duplicates", duplicates),
    ]


def write_eval(
    sight: Sight, answers: EvalAnswers, *, out: str | Path | None = None, force: bool = False
) -> InitialEval:
    """Write the eval file, and questions where there are none. Raises BadInput for files that are there already."""
    name = eval_name(answers.name) if answers.name else sight.name
    eval_file = written_path(out) if out is not None else Path(f"{name}.toml")
    prices = {"llm": answers.llm or LLM, "machine": answers.machine or MACHINE}
    prices = {key: rate for key, rate in prices.items() if rate != NONE}
    for rate in prices.values():
        check_rate(rate, on=today(), file=eval_file)
    queries = sight.queries if answers.queries is None else written_path(answers.queries)
    log = queries if queries is not None and _is_log(queries) else None
    queries = None if log is not None else queries
    asked = _asked(sight, log) if queries is None else []
    qrels = sight.qrels if queries == sight.queries else None
    made_questions = eval_file.with_name(f"{name}.questions.jsonl") if queries is None else None
    made_documents = eval_file.with_name(f"{name}.documents.jsonl") if sight.traces is not None else None
    made = tuple(path for path in (made_documents, made_questions) if path is not None)
    for path in (*made, eval_file):
        if path.exists() and not force:
            raise BadInput("this file is there already; --force overwrites it, --out names another", file=path)
    if queries is not None:  # what is wrong with them is said before anything is written
        read_evaluation_set(queries, qrels, corpus=sight.corpus)
    text = _eval_text(
        sight if made_documents is None else replace(sight, path=made_documents),
        name, queries or made_questions, qrels, prices, answers, near=eval_file.parent,
        labels=eval_file.with_suffix(".labels").name,
    )  # fmt: skip
    if made_documents is not None:
        _write_lines(made_documents, [{"_id": doc.doc_id, "text": doc.text} for doc in sight.corpus.docs])
    if made_questions is not None:
        _write_lines(made_questions, asked or known_items(sight.corpus))
    write_text(eval_file, text)
    read_eval(eval_file)
    steps = _next_steps(sight, eval_file, judged=qrels is not None, made=None if asked else made_questions)
    if log is not None:
        told = f"{counted(len(asked), 'question')} of {log}, drawn by how often each was asked, near-copies as one"
        steps.insert(0, f"look through {made_questions}: {told}")
    return InitialEval(eval_file, sight.rows_with(answers.queries), steps, made)


def _is_log(path: Path) -> bool:
    """Whether a file holds what was asked, as often as it was, rather than questions with ids."""
    if not path.is_file():
        return False
    kind = path.suffix.lower()
    if kind in LOG_SUFFIXES or holds_traces(path):
        return True
    first = next((text for _, text in filled_lines(path)), "")
    if kind in TABLE_SUFFIXES:  # questions with ids have a tab in each line; in a log a line may name the columns
        cells = [each.strip().lower() for each in first.split("\t")]
        return len(cells) == 1 or (bool(set(cells) & set(NAMED)) and not set(cells) & set(QUERY_ID_FIELDS))
    try:
        record = json.loads(first)
    except (ValueError, RecursionError):
        return first.lstrip().startswith("[")  # a list over several lines
    return not (isinstance(record, dict) and set(record) & set(QUERY_ID_FIELDS))


def _write_lines(path: Path, records: Sequence[Mapping[str, object]]) -> None:
    write_text(path, "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records))


def _next_steps(sight: Sight, eval_file: Path, *, judged: bool, made: Path | None) -> list[str]:
    steps = [f"ragprof check {eval_file}: how long, how many tokens, how much money", f"ragprof run {eval_file}"]
    if made is not None:
        steps.insert(
            0,
            f"the questions in {made} are only headings of the documents. Take your users' own from a log (CSV, "
            f"JSONL, lines of text or traces): ragprof init {quote(str(sight.path))} --queries FILE --force. Or have a "
            f"model write some from the passages: ragprof label {eval_file} --generate",
        )
    if sight.traces is not None:
        steps.insert(0, f"ragprof trace {sight.path}: what these traces took, stage by stage")
        steps.append(
            "these documents are what the traces found, not the whole index: pipelines can be compared on them, and "
            "look better than over all of it; 'ragprof init FOLDER --queries' with these traces takes the whole"
        )
    if not judged:
        steps.append("without judgements a run gives time, tokens and money, and ranks no pipeline")
        steps.append(
            f"ragprof label {eval_file}: judgements by a model and a few people, for quality; then take out "
            "the # before qrels in that file"
        )
    return steps


def remarked(line: str, remark: str) -> str:
    """A line with its comment, the comments of short lines below each other."""
    return f"{line:<31} # {remark}"


def eval_name(written: str) -> str:
    """What may name an eval: other signs become hyphens."""
    found = re.sub(r"[^A-Za-z0-9._-]+", "-", written).strip("-._")
    return found or "documents"


def known_items(corpus: Corpus) -> list[Mapping[str, object]]:
    """Up to 50 headings (else titles) of documents that are spread over the corpus evenly, as stand-ins for questions.

    Each names the document that it is from, and how it was made; nobody asked it.
    """
    found = dict[str, tuple[str, str]]()
    for doc in corpus.docs:
        heading = doc.position.heading.rpartition(" > ")[2] if doc.position else ""
        words = heading or doc.title
        if words.strip() and doc.document_id not in found:
            found[doc.document_id] = (
                doc.document_id,
                f"{doc.title}: {heading}" if heading not in ("", doc.title) else words,
            )
    items = list(found.values()) or [(doc.document_id, doc.text[:100]) for doc in corpus.docs]
    chosen = items[:: max(1, -(-len(items) // MADE_QUESTIONS))]
    return [
        {"_id": f"h{number}", "text": text, "metadata": {"made_from": "heading", "document": document}}
        for number, (document, text) in enumerate(chosen, 1)
    ]


def _asked(sight: Sight, log: Path | None) -> list[Mapping[str, object]]:
    """Up to FROM_LOG questions of a log, else of the traces that were looked at, drawn by how often each was asked.

    None where there is no log and no trace has a question. Raises BadInput for a log without any.
    """
    if log is not None:
        found = own_questions(log, count=FROM_LOG, seed=0).questions
    elif sight.traces is not None and any(map(str.strip, sight.traces.questions)):
        found = drawn_questions(sight.traces.questions, sight.path, count=FROM_LOG, seed=0).questions
    else:
        return []
    return [
        {"_id": f"t{number}", "text": each.text, "metadata": dict(each.metadata)}
        for number, each in enumerate(found, 1)
    ]


def _eval_text(
    sight: Sight,
    name: str,
    queries: Path | None,
    qrels: Path | None,
    prices: Mapping[str, str],
    answers: EvalAnswers,
    *,
    near: Path,
    labels: str,
) -> str:
    """The eval file, commented. Paths are relative to it; `labels` is the folder that `ragprof label` makes."""

    def quoted(value: str) -> str:
        return json.dumps(value, ensure_ascii=False)

    def path(target: Path) -> str:
        return quoted(Path(os.path.relpath(target.resolve(), near.resolve())).as_posix())

    passages = len(sight.corpus.docs)
    depth = min(DEPTH, passages)
    k = min(DEPTH // 4, DEFAULT_K, depth)
    of_all = f"{counted(passages, 'passage')} of {counted(sight.corpus.documents, 'document')}"
    lines = [
        f"# Written by ragprof init. Every key: docs/eval-file.md. Check it with: ragprof check {name}.toml",
        remarked(f"name = {quoted(name)}", "folder under reports/"),
        "",
        "[corpus]",
        remarked('from = "store"' if sight.store else f"path = {path(sight.path)}", of_all),
    ]
    if passages > FIRST_PASSAGES and not sight.store:
        lines.append(remarked(f"# passages = {FIRST_PASSAGES}", "search a part of them, for a first report"))
    lines += ["", "[evaluation]"]
    if sight.is_collection and queries is not None and queries == sight.queries:
        lines.append(remarked(f"split = {quoted(sight.split)}", "questions and judgements are those of the folder"))
    elif queries is not None:
        made = quoted(f"{labels}/qrels.tsv")
        without = remarked(f"# qrels = {made}", "what ragprof label writes; without: time, tokens and money alone")
        lines += [f"queries = {path(queries)}", without if qrels is None else f"qrels = {path(qrels)}"]
    if qrels is None:
        judge = 'judge = { name = "openai_compatible", base_url = "http://127.0.0.1:8000/v1", model = "its-name" }'
        lines += ["", remarked("# [labels]", "who judges, for ragprof label"), f"# {judge}"]
        lines += [remarked('# price = "free"', "the rate of that model, such as openai:gpt-4o-mini")]
    lines += ["", "[timing]", remarked("seconds = 45", "for all live queries"), ""]
    lines += [remarked("[prices]", "a stage without a price is UNPRICED, never 0")]
    lines += [f"{key} = {quoted(rate)}" for key, rate in prices.items()]
    lines += [remarked("utilisation = 0.5", "the busy share of paid hours")] if "machine" in prices else []
    lines += [remarked('# parse = "book/name"', "what a service takes for parsing documents, if one does")]
    injector = f'injector = {{ name = "token_budget", k = {k}, tokens = 2000 }}'
    is_english = sight.language in ("en", "")
    minilm = 'embedder = "sentence_transformers"'
    minilm = remarked(minilm, "all-MiniLM-L6-v2" if is_english else "all-MiniLM-L6-v2, for English; name another model")
    stores = 'store = { name = "rrf", stores = ["bm25s", "faiss_flat"] }'
    filled = 'embedder = "sentence_transformers"'
    there = [remarked(filled, "name the model that filled the index"), f"store = {sight.store}"]
    pipelines = (
        [
            ("production", there),
            ("exact", [filled, remarked('store = "faiss_flat"', "what the index loses")]),
            ("bm25", ['store = "bm25s"']),
            *([("production+maxsim", [*there, 'reranker = "maxsim"'])] if answers.reranker else []),
        ]
        if sight.store
        else [
            ("bm25", [remarked('store = "bm25s"', "finds out the language of the corpus")]),
            ("dense", [minilm, 'store = "faiss_flat"']),
            ("hybrid", [minilm, stores]),
            *([("hybrid+maxsim", [minilm, stores, 'reranker = "maxsim"'])] if answers.reranker else []),
        ]
    )
    for pipeline, parts in pipelines:
        lines += ["", "[[pipelines]]", f'name = "{pipeline}"', *parts, f"depth = {depth}", injector]
    return "\n".join(lines) + "\n"
