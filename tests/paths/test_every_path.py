"""Every command with every part in every place, from an eval file, a plugin or Python, ends well and keeps its word."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from paths import BUILT_IN, COMMANDS, OUTSIDE, PLUGINS, QUESTIONS, SOURCE, Placed, eval_text, install, write_collection
from reranker_server import address, reranking
from speaking_server import SpeakingServer, fails, speaking
from tiny_causal_model import save_causal_model
from tiny_cross_encoder import save_cross_encoder

import ragprof
from ragprof.cli.app import main
from ragprof.core import registry
from ragprof.core.errors import BadInput
from ragprof.core.registry import KINDS, PROTOCOLS, Kind
from ragprof.record.pipeline import part

FAST = ragprof.Timing(seconds=0.02, rounds=2, min_queries=2, warmup=1)
SECTION = {"grow": "growth", "inject": "injection", "reranker": "reranker", "audit": "audit"}


def cells(parts: Sequence[Placed], source: str) -> list[Any]:
    """One parameter a cell."""
    return [
        pytest.param(command, each, id=f"{command}-{source}-{each.key}-{each.label}".replace(" ", "_"))
        for each in parts
        for command in COMMANDS
        if command in each.only
    ]


@pytest.fixture(scope="module")
def servers() -> Iterator[Callable[[str], SpeakingServer]]:
    """A server of each kind, started when a cell first asks for it."""
    with ExitStack() as stack:
        started: dict[str, SpeakingServer] = {}

        def server(kind: str) -> SpeakingServer:
            if kind not in started:
                started[kind] = stack.enter_context(speaking() if kind == "answers" else reranking(kind))
            return started[kind]

        yield server


@pytest.fixture
def collection(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The place of a test: six documents, four questions, and a package of plugins that is installed."""
    write_collection(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(install(tmp_path / "outside"))
    monkeypatch.delitem(sys.modules, "bare_parts", raising=False)
    return tmp_path


@pytest.fixture
def ended(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Run a command that must end with exit code 0; what it printed."""

    def command(*arguments: str, code: int = 0) -> str:
        monkeypatch.setattr(sys, "argv", ["ragprof", *arguments])
        capsys.readouterr()
        with pytest.raises(SystemExit) as stopped:
            main()
        printed = capsys.readouterr()
        assert int(stopped.value.code or 0) == code, printed.err
        assert "Traceback" not in printed.err
        return printed.out if code == 0 else printed.err

    return command


def write_eval(*placed: Placed, url: str = "") -> None:
    text = eval_text(*placed, url=url)
    if "CAUSAL" in text:
        text = text.replace("CAUSAL", str(save_causal_model(Path("causal").absolute())))
    if "CROSS_ENCODER" in text:
        text = text.replace("CROSS_ENCODER", str(save_cross_encoder(Path("cross").absolute(), outputs=1)))
    Path("cell.toml").write_text(text)


def ends_well(command: str, ended: Callable[..., str]) -> None:
    """Run it on cell.toml, then what is done with what it left."""
    if command == "gate":
        ended("run", "cell.toml")
        ended("baseline", "save", "reports/cell")
        ended("gate", "cell.toml", "--baseline", "baselines/cell")
    else:
        ended(command, "cell.toml", *(["--answers", "--times", "2", "--queries", "3"] if command == "audit" else []))
    if command in SECTION:
        summary = Path("reports/cell/audit/audit.json" if command == "audit" else "reports/cell/summary.json")
        assert SECTION[command] in json.loads(summary.read_text())
    if command not in ("check", "audit", "gate"):
        printed = ended("price", "reports/cell", "--llm", "openai:gpt-4o")
        assert printed.endswith("report: reports/cell/report.html\n")


@pytest.mark.slow
@pytest.mark.parametrize(("command", "each"), [*cells(BUILT_IN, "file"), *cells(OUTSIDE, "plugin")])
def test_a_command_ends_well_with_a_part(
    command: str,
    each: Placed,
    collection: Path,
    ended: Callable[..., str],
    servers: Callable[[str], SpeakingServer],
) -> None:
    if each.package:
        pytest.importorskip(each.package)
    if not each.server:
        write_eval(each)
        ends_well(command, ended)
        return
    server = servers(each.server)
    asked_before = len(server.bodies)
    write_eval(each, url=address(server))
    ends_well(command, ended)
    assert command == "check" or len(server.bodies) > asked_before


@pytest.mark.parametrize("command", [each for each in COMMANDS if each != "gate"])
def test_a_command_ends_well_with_every_part_from_another_package(
    command: str, collection: Path, ended: Callable[..., str]
) -> None:
    write_eval(*(each for each in OUTSIDE if each.key not in ("own generator", "students")))
    ends_well(command, ended)


@pytest.mark.parametrize("command", ["check", "run", "inject", "reranker", "audit"])
def test_a_command_ends_well_with_an_endpoint_that_reranks_and_one_that_answers_and_judges(
    command: str, collection: Path, ended: Callable[..., str], servers: Callable[[str], SpeakingServer]
) -> None:
    answers, scores = servers("answers"), servers("cohere")
    chosen = [each for each in BUILT_IN if each.label in ("openai_compatible chat", "rerank_api cohere")]
    chosen = [each for each in chosen if each.key != "students"]  # a student that is the pipeline's own is refused
    placed = [replace(each, spec=each.spec.replace("URL", address(servers(each.server)))) for each in chosen]
    write_eval(*placed)
    before = len(answers.bodies), len(scores.bodies)
    ends_well(command, ended)
    assert len(answers.bodies) > before[0] or command in ("check", "reranker")
    assert len(scores.bodies) > before[1] or command == "check"


def test_answers_of_an_endpoint_are_audited_alone_and_together(
    collection: Path, ended: Callable[..., str], servers: Callable[[str], SpeakingServer]
) -> None:
    each = next(each for each in BUILT_IN if each.label == "openai_compatible chat")
    write_eval(each, url=address(servers("answers")))
    said = " ".join(ended("audit", "cell.toml", "--answers", "--times", "2", "--queries", "3").split())
    assert "Generate gave the same answer 2 times for 3 of 3 queries in one." in said
    assert "answers of openai_compatible" in said


def letters(texts: Sequence[str]) -> np.ndarray:
    return np.array([[1 + text.lower().count(letter) for letter in "abcdefgh"] for text in texts], float)


CALLABLES: dict[str, Any] = {
    "embedder": letters,
    "store": lambda question, depth: [("leave", 2.0), ("laptop", 1.0)][:depth],
    "reranker": lambda question, texts: [float(len(text)) for text in texts],
    "injector": lambda question, texts: "\n".join([*texts, question]),
    "generator": lambda prompt: prompt[:9],
}


@pytest.mark.slow
@pytest.mark.parametrize("source", ["callable", "object", "plugin"])
@pytest.mark.parametrize("place", list(CALLABLES))
def test_python_takes_callables_objects_and_plugins_in_every_place(place: str, source: str, collection: Path) -> None:
    bare: dict[str, Any] = {}
    exec(SOURCE, bare)  # noqa: S102  # the package of plugins, as objects
    given: Any = {
        "callable": CALLABLES[place],
        "object": bare[f"Bare{place.capitalize()}"](),
        "plugin": f"bare_{place}",
    }[source]
    parts: dict[str, Any] = {"embedder": "hashing", "store": "faiss_flat", "reranker": "overlap", "depth": 6}
    result = ragprof.profile(
        [ragprof.Pipeline("one", **{**parts, place: given})],
        corpus="corpus.jsonl",
        queries="questions.jsonl",
        qrels="judgements.tsv",
        timing=FAST,
        metrics=["nDCG@10"],
        out="out",
    )
    assert result.summary["queries"] == len(QUESTIONS)
    assert result.report.is_file()


@pytest.mark.parametrize("kind", KINDS)
def test_a_plugin_that_lacks_a_member_is_told_which(kind: Kind, collection: Path) -> None:
    single = kind.removesuffix("s")
    lacking = registry.members(kind)
    lacking = [each for each in lacking if each != "identity"]
    with pytest.raises(BadInput) as told:
        registry.create(kind, registry.PartSpec(name=f"lacking_{single}"))
    assert str(told.value) == (
        f"the {single} 'lacking_{single}' lacks {', '.join(lacking)}; every {single} has "
        f"{', '.join(registry.members(kind))} "
        f"(ragprof.core.stages.{PROTOCOLS[kind].__name__} says what each of them is)"
    )


def test_an_object_that_lacks_a_member_is_told_which() -> None:
    class Half:
        identity = None

        def generate(self, prompt: str) -> None:
            """Answers nothing."""

    with pytest.raises(BadInput, match="the generator 'Half' lacks context_tokens, count_tokens, load, max_new_tokens"):
        part("generators", Half())


def test_a_plugin_that_lacks_a_member_ends_a_command_before_anything_is_asked(
    collection: Path, ended: Callable[..., str]
) -> None:
    write_eval(Placed("generator", '"lacking_generator"', "lacking"))
    said = ended("inject", "cell.toml", code=2)
    assert said.startswith("ragprof: cell.toml:23: the generator 'lacking_generator' lacks context_tokens, ")
    assert said.count("\n") == 1
    assert not Path("reports").exists()


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind in KINDS for name in registry.names(kind)])
def test_a_built_in_part_is_checked_by_mypy_against_its_protocol(kind: Kind, name: str) -> None:
    """Where its module ends, a typed assignment: mypy refuses a class that lacks a member."""
    registry.find(kind, name)
    (module,) = (module for label, module in sys.modules.items() if label.endswith(f".{kind}.{name}"))
    assert module.__annotations__["plugin"] == f"type[{PROTOCOLS[kind].__name__}]"


def test_answers_that_were_bought_are_kept_when_one_fails(
    collection: Path, ended: Callable[..., str], servers: Callable[[str], SpeakingServer]
) -> None:
    each = next(each for each in BUILT_IN if each.label == "openai_compatible chat")
    with speaking() as server:
        write_eval(each, url=address(server))
        answered = server.next_step

        def fails_at_the_fifth() -> Callable[..., None]:
            if len(server.bodies) == 5:
                return lambda handler: fails(handler, 400, '{"error": {"message": "no more"}}')
            return answered()

        server.next_step = fails_at_the_fifth  # type: ignore[method-assign]
        assert "refused the request with 400: no more" in ended("inject", "cell.toml", code=2)
        paid = [body["messages"][0]["content"] for body in server.bodies]
        server.next_step = answered  # type: ignore[method-assign]
        ended("inject", "cell.toml")
        asked_again = json.loads(Path("reports/cell/injection/manifest.json").read_text())["work"]
    assert len(paid) >= 5
    assert asked_again["reused"] == len(set(paid)) - 1
    assert asked_again["generated"] == asked_again["distinct"] - asked_again["reused"]


def test_answers_are_on_disk_when_the_live_rounds_fail(
    collection: Path, ended: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_eval(Placed("generator", '"bare_generator"', "plugin"))

    def gone(*_given: Any) -> None:
        raise BadInput("the server is gone")

    monkeypatch.setattr("ragprof.studies.injection.record.time_answers", gone)
    assert "the server is gone" in ended("inject", "cell.toml", code=2)
    assert {path.stem for path in Path("reports/cell/injection").glob("*.parquet")} == {
        "answers", "candidates", "chunks", "prompts",
    }  # fmt: skip


def test_the_matrix_has_every_part_that_ragprof_lists() -> None:
    """A part that is added without a cell fails here. Apps are whole pipelines, readers no part of any: they have their
    own tests, as those parts have that speak to servers of their own (tests/embedders, tests/stores)."""
    named = {each.label.split()[0] for each in BUILT_IN} | {"cohere", "voyage", "jina", "elasticsearch", "opensearch"}
    assert {name for kind in KINDS if kind not in ("apps", "readers") for name in registry.names(kind)} <= named
    assert set(PLUGINS) == set(KINDS)
