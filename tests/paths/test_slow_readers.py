"""Files that are small and were slow, or ended in a traceback: one message each, in bounded time."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ragprof.core.errors import BadInput, RagprofError
from ragprof.core.files import read_json
from ragprof.corpus.markup import html
from ragprof.evals.reading import line_of, read_eval, read_gate
from ragprof.price.rates import read_book

TOML = {
    "arrays": ("a = " + "[" * 5_000, "nested too deep to be read; nest less"),
    "tables": ("a = " + "{a=" * 5_000, "nested too deep to be read; nest less"),
    "a dotted key": (".".join(["a"] * 20_000) + " = 1", ":1: a key of more than 64 names; nest less"),
    "a dotted table": ("\n[" + ".".join(["a"] * 20_000) + "]", ":2: a key of more than 64 names; nest less"),
    "digits": ("seed = " + "9" * 5_000, r"not valid TOML: Exceeds the limit \(4300 digits\)"),
}


@pytest.mark.parametrize("read", [read_eval, read_gate, read_book])
@pytest.mark.parametrize("name", TOML)
def test_toml_that_no_parser_takes_is_one_message(tmp_path: Path, read: Callable[[Path], object], name: str) -> None:
    path = tmp_path / "odd.toml"
    content, said = TOML[name]
    path.write_text(content)
    with pytest.raises(BadInput, match=rf"odd\.toml.*{said}"):
        read(path)


def test_json_with_a_number_that_python_refuses_is_one_message(tmp_path: Path) -> None:
    (tmp_path / "odd.json").write_text('{"a": ' + "9" * 5_000 + "}")
    with pytest.raises(BadInput, match=r"odd\.json: not valid JSON \(Exceeds the limit"):
        read_json(tmp_path / "odd.json", remedy="mend it")


@pytest.mark.parametrize("shape", ['["per_hour"]', "{ a = 1 }", "1979-05-27"])
def test_a_rate_whose_shape_is_no_text_is_refused(tmp_path: Path, shape: str) -> None:
    (tmp_path / "book.toml").write_text(f'[[rates]]\nname = "x"\nshape = {shape}\n')
    with pytest.raises(RagprofError, match=r"book\.toml:3: no shape of a rate named"):
        read_book(tmp_path / "book.toml")


@pytest.mark.parametrize("line", ["[" + " " * 20_000, "[ a" + " " * 20_000 + "x", " " * 20_000 + "= 1", '"' * 20_000])
def test_the_line_of_a_key_is_found_in_linear_time(line: str) -> None:
    """A bracket before 20,000 blanks took minutes."""
    before = time.process_time()
    assert line_of(f"{line}\na = 1\n", ("a",)) == 2
    assert time.process_time() - before < 2


@pytest.mark.parametrize("mark", ["<!--", "<!-- <b>", "</", "<![CDATA[", "<![ <b>", "<a", "<?"])
def test_a_page_of_marks_without_an_end_is_read_in_linear_time(mark: str) -> None:
    before = time.process_time()
    html("<h1>Ponds</h1><p>Ducks swim.</p>" + mark * (100_000 // len(mark)))
    assert time.process_time() - before < 5
