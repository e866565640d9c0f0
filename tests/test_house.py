"""The house's own rules: imports point down, plugins stand alone, names are listed without loading what they name."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "ragprof"
ROOMS = (
    {
        "core", "stages", "registry", "waiting", "answer_cache", "corpus", "distractors", "evals", "files",
        "row_cache", "statistics", "environment", "errors", "clock", "progress", "ranking", "nested", "tokens",
        "prompt", "words", "models", "transformer", "packing", "http_calls", "energy", "completions", "causal_model",
        "gguf_models", "shared_prefixes", "grouped_attention", "windows", "int8_linears", "rerank_formats",
        "quantities", "flop_counts",
    },
    {"embedders", "stores", "rerankers", "injectors", "generators", "signals", "adapters"},
    {"record", "judge", "price"},
    {"studies"},
    {"report"},
    {
        "preparation", "planning", "injecting", "reranking", "model_judging", "auditing", "forecast", "session", "cli",
        "exporting", "mlflow_logging", "pytest_plugin", "comparing", "gating", "gate_checks",
        "gate_proposal", "against", "__init__", "__main__",
    },
)  # fmt: skip
PLUGIN_ROOM, SIBLING_ROOM = 1, 2
HEAVY = {
    "torch", "transformers", "sentence_transformers", "tokenizers", "faiss", "pandas", "pyarrow", "altair", "scipy",
    "bm25s", "rank_bm25", "ir_measures", "genai_prices", "vl_convert", "jinja2", "bs4", "wordllama", "httpx2",
}  # fmt: skip


def module_name(path: Path) -> str:
    parts = ["ragprof", *path.relative_to(PACKAGE).with_suffix("").parts]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}
TREES = {name: ast.parse(path.read_text(encoding="utf-8")) for name, path in MODULES.items()}


def top_of(module: str) -> str:
    """`stores` for ragprof.parts.stores.rrf, `__init__` for ragprof itself."""
    return [*module.split("."), "__init__"][1]


def room_of(module: str) -> int:
    rooms = [number for number, tops in enumerate(ROOMS) if top_of(module) in tops]
    assert rooms, f"{module} has no room; add it to ROOMS and to the design"
    return rooms[0]


def imported(module: str) -> Iterator[str]:
    """Modules of ragprof that a module imports, anywhere in its text."""
    for node in ast.walk(TREES[module]):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in MODULES)
        elif isinstance(node, ast.ImportFrom) and node.module in MODULES:
            inside = [f"{node.module}.{alias.name}" for alias in node.names]
            yield from (name if name in MODULES else node.module for name in inside)


EDGES = [(module, target) for module in MODULES for target in imported(module)]


def functions() -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    for module, tree in TREES.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield module, node


def modules_after(code: str, folder: Path) -> set[str]:
    """Top-level names of all that is imported once the code has run in a fresh interpreter."""
    ending = "\nimport json, sys\nsys.stderr.write(json.dumps(sorted({name.split('.')[0] for name in sys.modules})))"
    done = subprocess.run([sys.executable, "-c", code + ending], cwd=folder, capture_output=True, text=True, check=True)
    return set(json.loads(done.stderr))


def test_the_walk_sees_the_imports_that_it_judges() -> None:
    assert ("ragprof.parts.stores.rrf", "ragprof.core.registry") in EDGES
    assert ("ragprof.session.run", "ragprof.price") in EDGES
    assert len(EDGES) > 150


def test_every_module_has_a_room() -> None:
    assert {room_of(module) for module in MODULES} == {0, 1, 2, 3, 4, 5}


def test_no_import_is_relative() -> None:
    relative = [
        module
        for module, tree in TREES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.level
    ]
    assert relative == []


def test_imports_never_point_up() -> None:
    assert [f"{module} imports {target}" for module, target in EDGES if room_of(target) > room_of(module)] == []


def test_record_judge_and_price_never_import_each_other() -> None:
    crossing = [
        f"{module} imports {target}"
        for module, target in EDGES
        if room_of(module) == room_of(target) == SIBLING_ROOM and top_of(module) != top_of(target)
    ]
    assert crossing == []


def test_no_plugin_imports_another_plugin() -> None:
    crossing = [
        f"{module} imports {target}"
        for module, target in EDGES
        if room_of(module) == room_of(target) == PLUGIN_ROOM and module != target
    ]
    assert crossing == []


def test_time_is_read_in_one_place() -> None:
    readers = [
        module
        for module, tree in TREES.items()
        for node in ast.walk(tree)
        if (isinstance(node, ast.Import) and any(alias.name == "time" for alias in node.names))
        or (isinstance(node, ast.ImportFrom) and node.module == "time")
    ]
    assert readers == ["ragprof.core.clock"]


def test_no_function_is_longer_than_60_lines() -> None:
    lengths = {f"{module}.{node.name}": (node.end_lineno or 0) - node.lineno + 1 for module, node in functions()}
    assert {name: length for name, length in lengths.items() if length > 60} == {}


def test_no_module_is_longer_than_320_lines() -> None:
    lengths = {name: len(path.read_text(encoding="utf-8").splitlines()) for name, path in MODULES.items()}
    assert {name: length for name, length in lengths.items() if length > 320} == {}


def test_every_module_and_every_public_class_says_what_it_is() -> None:
    silent = [name for name, tree in TREES.items() if tree.body and not ast.get_docstring(tree)]
    silent += [
        f"{module}.{node.name}"
        for module, tree in TREES.items()
        for node in tree.body
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_") and not ast.get_docstring(node)
    ]
    assert silent == []


def test_every_function_says_what_it_returns() -> None:
    assert [f"{module}.{node.name}" for module, node in functions() if node.returns is None] == []


def test_the_command_line_loads_nothing_heavy_before_a_command_needs_it(tmp_path: Path) -> None:
    loaded = modules_after("import ragprof.cli.app", tmp_path)
    assert "typer" in loaded
    assert loaded & (HEAVY | {"numpy", "pydantic"}) == set()


def test_importing_ragprof_loads_nothing_but_itself(tmp_path: Path) -> None:
    assert modules_after("import ragprof", tmp_path) & (HEAVY | {"numpy", "pydantic", "typer"}) == set()


def test_listing_names_loads_no_plugin_and_nothing_heavy(tmp_path: Path) -> None:
    listing = "import sys\nsys.argv = ['ragprof', 'list']\nfrom ragprof.cli.app import main\ntry: main()\n"
    ending = "except SystemExit: pass\n"
    plugins = "assert not [name for name in sys.modules if name.startswith('ragprof.') and name.count('.') == 2 and "
    plugins += "name.split('.')[1] in ('embedders', 'stores', 'rerankers', 'injectors', 'generators')]"
    loaded = modules_after(listing + ending + plugins, tmp_path)
    assert "ragprof" in loaded
    assert loaded & HEAVY == set()


def test_naming_one_plugin_imports_that_module_and_no_other(tmp_path: Path) -> None:
    code = (
        "import sys\nfrom ragprof.core.registry import PartSpec, create\ncreate('stores', PartSpec(name='bm25s'))\n"
        "print([name for name in sys.modules if name.startswith('ragprof.parts.stores.')])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout == "['ragprof.parts.stores.bm25s']\n"


@pytest.mark.parametrize(
    "name", ["Pipeline", "Prices", "RagprofError", "Result", "Timing", "profile", "reweigh", "run", "weigh"]
)
def test_the_public_names_are_there(name: str) -> None:
    import ragprof

    assert name in ragprof.__all__
    assert getattr(ragprof, name).__name__ == name


def test_an_unknown_public_name_is_an_attribute_error() -> None:
    import ragprof

    with pytest.raises(AttributeError, match="module 'ragprof' has no attribute 'profle'"):
        _ = ragprof.profle
