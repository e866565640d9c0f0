"""A folder of files as documents: every kind that there is a reader for. Follows no linked folder.

A broken file stops nothing. Everything that is not read is counted in the tally, with kind and reason. Readers that are
plugins of the kind `readers` are named as the suffix that they read; `.gz` is unpacked and read as what is inside.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from functools import partial
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from queue import SimpleQueue
from typing import TypeAlias

from ragprof.core import Doc
from ragprof.core.clock import SILENT, Progress, step
from ragprof.core.documents import ReadDocument, ReadFile, Segment
from ragprof.core.errors import BadInput
from ragprof.core.files import cache_folder, write_text
from ragprof.core.registry import PartSpec, create, names
from ragprof.core.stages import Reader
from ragprof.corpus.account import Tally
from ragprof.corpus.apart import SECONDS, ParsingProcess, TimedReading, restored, unparsed
from ragprof.corpus.collection import Outline
from ragprof.corpus.jsonl import clean_id, is_blank, is_utf8
from ragprof.corpus.markup import FRONT_MATTER
from ragprof.corpus.texts import gunzipped

DATA_URI = re.compile(
    r"data:(?:[a-z]+/[\w.+-]+(?:;[\w.-]+=[\w.-]+)*;base64,[\w+/=-]+"
    r"|(?:image|font|audio|video)/[\w.+-]+(?:;[\w.-]+=[\w.-]+)*,[^\s)\"'<>\]]+)",
    re.IGNORECASE,
)
"""A page about data URIs may show one whose content is text; that is left as it is."""
GZ = ".gz"
ALSO = {".htm": ".html", ".tsv": ".csv", ".ndjson": ".jsonl", ".markdown": ".md"}
"""Suffixes that are read as another one."""
NAMED_ONLY = frozenset({"docling"})
"""Readers of several kinds of files, which are taken where `[corpus] readers` names them; no suffix is theirs."""
PARSED = "parsed"
"""A folder of the cache: what parsers made of files."""
PAGES_NAMED = 5
SLOW_S = 10.0
"""Without any file being done, after which those that are being parsed are named."""
Processes: TypeAlias = "SimpleQueue[ParsingProcess]"
"""Those that have nothing to do."""


@dataclass(frozen=True)
class ReadingRules:
    """How the files of a folder are read. `readers`: suffix without its dot -> the reader that takes the usual's place.

    Larger files than `max_file_bytes` are left out.
    """

    readers: Mapping[str, PartSpec] = field(default_factory=dict)
    max_file_bytes: int = 256_000_000

    def spec(self, suffix: str) -> PartSpec | None:
        """The reader of a suffix such as `.pdf`; None where nobody reads it."""
        own = self.readers.get(suffix[1:])
        usual = ALSO.get(suffix, suffix)[1:]
        return own or (PartSpec(name=usual) if usual in names("readers") and usual not in NAMED_ONLY else None)


@dataclass(frozen=True)
class Sighted:
    """A file that there is a reader for. `kind` is its suffix in small letters, with `.gz` where it is packed."""

    path: Path
    shown: str
    kind: str
    reader: PartSpec

    @property
    def is_packed(self) -> bool:
        return self.kind.endswith(GZ)


@dataclass(frozen=True)
class FolderText:
    """Documents sorted by id, and the outline of each."""

    docs: list[Doc]
    outlines: dict[str, Outline]


@dataclass(frozen=True)
class Outcome:
    """What a reader made of a file."""

    found: ReadFile
    parsing_ns: int = 0
    is_parsed: bool = False
    """Whether a parser was run on it in a process of its own, now or before."""
    is_cached: bool = False
    is_blank: bool = False
    """Whether the file itself holds nothing."""


Parsing: TypeAlias = "Future[Outcome | str]"


def check_readers(readers: Mapping[str, PartSpec]) -> None:
    """Raise UnknownName or BadInput for a reader or an option that does not exist."""
    for spec in readers.values():
        create("readers", spec)


def suffixes() -> str:
    """What is read, in words."""
    return " ".join(f".{name}" for name in names("readers") if name not in NAMED_ONLY)


def read_folder(
    folder: Path, tally: Tally, *, rules: ReadingRules | None = None, progress: Progress = SILENT
) -> FolderText:
    """Documents by id (the path below the folder, with slashes), what cannot be read left out and counted.

    Raises BadInput where no document is left, and for a reader that does not exist.
    """
    rules = rules or ReadingRules()
    found = pages(folder, tally, rules)
    read = _read_all(found, rules, progress)
    text = FolderText([], {})
    for file in found:
        outcome = read[file.path]
        if isinstance(outcome, str):
            tally.leave_out(file.kind, outcome, file.shown)
            continue
        try:
            _take(file, outcome, folder, text, tally)
        except BadInput as problem:
            tally.leave_out(file.kind, problem.message, file.shown)
    if not text.docs:
        what = "no page with text" if found else "no page"
        left = tally.account().left_out
        first = f" ({left[0]})" if found and left else ""
        raise BadInput(f"{what} below this folder{first}; a corpus needs text in {suffixes()} files", file=folder)
    return text


def _take(file: Sighted, outcome: Outcome, folder: Path, text: FolderText, tally: Tally) -> None:
    """Put the documents of a file behind those that there are. Raises BadInput for a name that cannot be an id."""
    written = file.path.relative_to(folder).as_posix()
    if any(sign in written for sign in "\t\n\r"):
        raise BadInput("its name holds a tab or a line break, which no file of judgements can hold; rename it")
    if not is_utf8(written):
        raise BadInput("its name is not UTF-8; rename it")
    doc_id, found = clean_id(written, "file name", file=folder), outcome.found
    if outcome.is_parsed:
        tally.parsed(
            file.kind,
            pages=found.pages,
            empty_pages=len(found.empty_pages),
            parsing_ns=outcome.parsing_ns,
            cached=outcome.is_cached,
        )
    for part in found.skipped:
        tally.leave_out(part.kind, part.reason, file.shown, part.count)
    texts = kept = 0
    for document in found.documents:
        own = doc_id + f"/{document.name}" * bool(document.name)
        bare, embedded = _without_data_uris(document)
        if embedded:
            tally.leave_out("data URI", "the bytes of an image or a font", file.shown, embedded)
        if is_blank(FRONT_MATTER.sub("", bare.text)):
            continue
        texts += 1
        if own in text.outlines:
            tally.leave_out(file.kind, "another page has this name, with its accents encoded differently", file.shown)
            continue
        title = document.title or file.path.name.removesuffix(GZ if file.is_packed else "").rpartition(".")[0]
        kept += 1
        text.docs.append(Doc(own, title, bare.text, document_id=own))
        text.outlines[own] = Outline.of(bare.segments, is_markdown=bare.is_markdown)
    if kept:
        tally.read(file.kind)
    if not texts and found.empty_pages and len(found.empty_pages) == found.pages:
        reason = "no text on any page, such as a scan; it needs a reader with text recognition"
        tally.leave_out_empty(file.kind, reason, doc_id)
    elif not texts:
        is_page = file.reader.name == "html" and not outcome.is_blank
        tally.leave_out_empty(file.kind, "no text beside scripts and navigation" if is_page else "no text", doc_id)
    elif found.empty_pages:
        some = ", ".join(map(str, found.empty_pages[:PAGES_NAMED])) + ", ..." * (len(found.empty_pages) > PAGES_NAMED)
        named = f"{file.shown} p. {some}"
        tally.leave_out("page", "no text on it, such as a scan", named, len(found.empty_pages))


def _without_data_uris(document: ReadDocument) -> tuple[ReadDocument, int]:
    if "data:" not in document.text.lower():
        return document, 0
    segments, embedded = [], 0
    for segment in document.segments:
        text, count = DATA_URI.subn("", segment.text)
        segments.append(Segment(text, segment.heading, segment.page, segment.table_head))
        embedded += count
    return ReadDocument(document.title, tuple(segments), document.name, document.is_markdown), embedded


def _read_all(found: list[Sighted], rules: ReadingRules, progress: Progress) -> dict[Path, Outcome | str]:
    """By file what is in it, or the reason why it is left out. Files that need a parser go to several processes."""
    # Libraries of isolated readers are imported by the processes alone.
    readers: dict[str, Reader] = {file.reader.key: create("readers", file.reader) for file in found}
    outcomes = dict[Path, Outcome | str]()
    apart = [file for file in found if readers[file.reader.key].isolated]
    with (
        _at_work(min(usable_cores(), len(apart))) as (pool, processes),
        step(progress, "read the files", max(2, len(found))),
    ):
        waiting = {
            pool.submit(_or_reason, partial(_parsed, file, readers[file.reader.key], rules, processes)): file
            for file in apart
        }
        for file in found:
            if not readers[file.reader.key].isolated:
                outcomes[file.path] = _or_reason(partial(_read, file, readers[file.reader.key], rules))
                progress.advance(1)
        for future in _as_they_end(waiting, progress):
            outcomes[waiting[future].path] = future.result()
            progress.advance(1)
    return outcomes


def _as_they_end(waiting: Mapping[Parsing, Sighted], progress: Progress) -> Iterator[Parsing]:
    """Yield what is done; name once each file that keeps all others waiting."""
    pending, named = set(waiting), set[Parsing]()
    while pending:
        done, pending = wait(pending, timeout=SLOW_S, return_when=FIRST_COMPLETED)
        yield from done
        for future in () if done else [each for each in pending if each.running() and each not in named]:
            named.add(future)
            progress.note(f"{waiting[future].shown} takes long; its parser has {SECONDS:,.0f} s")


def usable_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def _at_work(workers: int) -> Iterator[tuple[ThreadPoolExecutor, Processes]]:
    """Threads, and a process for each; nothing is left of either when the block ends, however it ends."""
    every = [ParsingProcess() for _ in range(max(1, workers))]
    idle: Processes = SimpleQueue()
    for process in every:
        idle.put(process)
    pool = ThreadPoolExecutor(len(every))
    try:
        yield pool, idle
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        for process in every:
            process.end()
        pool.shutdown()
        for process in every:  # one that was started meanwhile
            process.end()


def _or_reason(read: Callable[[], Outcome]) -> Outcome | str:
    try:
        return read()
    except BadInput as problem:
        return problem.message
    except OSError as failure:
        return f"cannot be read: {failure.strerror or failure}"


def _content(file: Sighted, rules: ReadingRules) -> bytes:
    """The bytes of the file as it lies there. Raises BadInput or OSError with the reason."""
    if not file.path.is_file():
        raise BadInput("a link that leads nowhere" if file.path.is_symlink() else "not a file")
    size = file.path.stat().st_size
    if size > rules.max_file_bytes:
        most = rules.max_file_bytes / 1e6
        raise BadInput(f"larger than {most:,.0f} MB; [corpus] max_file_mb allows more")
    return file.path.read_bytes()


def _read(file: Sighted, reader: Reader, rules: ReadingRules) -> Outcome:
    content = _content(file, rules)
    if file.is_packed:
        content = gunzipped(content, most=rules.max_file_bytes)
    try:
        reader.load()
        found = reader.read(content)
    except BadInput:
        raise
    except Exception as failure:  # a reader may raise anything over a broken file
        raise BadInput(unparsed(failure)) from None
    has_text = any(document.text.strip() for document in found.documents)
    return Outcome(found, is_blank=not has_text and is_blank(content.decode("utf-8", "replace")))


def _parsed(file: Sighted, reader: Reader, rules: ReadingRules, processes: Processes) -> Outcome:
    """What the cache has, by content and reader; else what a process makes of the file."""
    content = _content(file, rules)
    try:
        identity = reader.identity
    except PackageNotFoundError:  # the process will say which
        identity = None
    kept = cache_folder() / PARSED / _key(content, identity, packed=file.is_packed)
    blank = not content
    del content
    if identity is not None and (before := _kept(kept)):
        return Outcome(before.found, before.parsing_ns, is_parsed=True, is_cached=True)
    process = processes.get()
    try:
        made = process.read(file.path, file.reader, packed=file.is_packed)
    finally:
        processes.put(process)
    if identity is not None:
        body = json.dumps(asdict(made), ensure_ascii=True)
        write_text(kept, f"{hashlib.sha256(body.encode()).hexdigest()}\n{body}")
    return Outcome(made.found, made.parsing_ns, is_parsed=True, is_blank=blank)


def _key(content: bytes, identity: str | None, *, packed: bool) -> Path:
    digest = hashlib.sha256(content)
    digest.update(json.dumps([identity, packed]).encode())
    name = digest.hexdigest()
    return Path(name[:2], f"{name[2:]}.json")


def _kept(path: Path) -> TimedReading | None:
    """What was parsed before; None where it is missing, damaged, or of another version."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        checksum, _, body = path.read_text(encoding="utf-8").partition("\n")
        if hashlib.sha256(body.encode()).hexdigest() == checksum:
            kept = json.loads(body)
            return TimedReading(restored(kept["found"]), int(kept["parsing_ns"]))
    return None


def pages(folder: Path, tally: Tally, rules: ReadingRules | None = None) -> list[Sighted]:
    """All files below the folder that there is a reader for, sorted by their path; the others go to the tally."""
    found: list[Sighted] = []
    rules = rules or ReadingRules()
    known, home = dict[str, PartSpec | None](), folder.resolve()

    def closed(failure: OSError) -> None:
        tally.leave_out("folder", f"cannot be opened: {failure.strerror}", _shown(Path(failure.filename), folder))

    for parent, children, names_here in os.walk(folder, onerror=closed):
        for child in (Path(parent, name) for name in sorted(children)):
            if child.name.startswith(".") or child.is_symlink():
                children.remove(child.name)
                tally.leave_out("folder", "hidden" if child.name.startswith(".") else "a link", _shown(child, folder))
        for path in (Path(parent, name) for name in sorted(names_here)):
            kind = path.suffix.lower()
            inner = Path(path.stem).suffix.lower() if kind == GZ else kind
            if inner not in known:
                known[inner] = rules.spec(inner) if inner else None
            reader = known[inner]
            kind = inner + GZ if kind == GZ else kind
            if path.name.startswith("."):
                tally.leave_out("file", "hidden", _shown(path, folder))
            elif path.is_symlink() and path.exists() and not path.resolve().is_relative_to(home):
                tally.leave_out("file", "a link that leads out of the folder", _shown(path, folder))
            elif reader is not None:
                found.append(Sighted(path, _shown(path, folder), kind, reader))
            else:
                tally.leave_out(kind or "file without a suffix", "this kind of file is not read", _shown(path, folder))
    return sorted(found, key=lambda file: file.path.relative_to(folder).as_posix())


def _shown(path: Path, folder: Path) -> str:
    """The path below the folder, whatever bytes are in it."""
    return path.relative_to(folder).as_posix().encode("utf-8", "replace").decode()
