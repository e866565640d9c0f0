"""Recipes: built once for each state of recipe and packages, whole or not at all, and found by name."""

import json
from pathlib import Path

import pytest

from ragprof.core.errors import BadInput, UnknownName
from ragprof.corpus import build, find, info, installed_versions, read_corpus

SETTINGS = """name = "tiny"
title = "Two words"
build = "make.py"
words = ["one", "two"]

[packages]
stdlib = { licence = "PSF-2.0" }
pytest = { distribution = "pytest", licence = "MIT" }
absent = { distribution = "no-such-distribution" }
"""
SCRIPT = """import hashlib, json, sys, tomllib
from pathlib import Path
settings = tomllib.loads(Path(sys.argv[1]).read_text())
folder = Path(sys.argv[2])
lines = "".join(json.dumps({"_id": word, "text": word}) + "\\n" for word in settings["words"])
(folder / "corpus.jsonl").write_text(lines)
manifest = {"name": "tiny", "versions": {}, "sha256": hashlib.sha256(lines.encode()).hexdigest()}
(folder / "manifest.json").write_text(json.dumps(manifest))
(Path(sys.argv[1]).parent / "runs.txt").open("a").write("x")
"""


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    folder = tmp_path / "corpora" / "tiny"
    folder.mkdir(parents=True)
    (folder / "recipe.toml").write_text(SETTINGS)
    (folder / "make.py").write_text(SCRIPT)
    return folder


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def runs(recipe: Path) -> int:
    return len((recipe / "runs.txt").read_text())


def test_a_recipe_tells_what_it_is_made_of(recipe: Path) -> None:
    found = info(recipe)
    assert (found.name, found.title, found.script) == ("tiny", "Two words", recipe / "make.py")
    assert found.licences == {"stdlib": "PSF-2.0", "pytest": "MIT", "absent": "unknown"}
    versions = installed_versions(found)
    assert versions["pytest"] == pytest.__version__
    assert versions["absent"] is None


def test_it_is_built_once(recipe: Path, cache: Path) -> None:
    built = build(recipe, cache=cache)
    assert built.parent == cache / "corpora"
    assert built.name.startswith("tiny-")
    assert sorted(path.name for path in built.iterdir()) == ["corpus.jsonl", "manifest.json"]
    assert build(recipe, cache=cache) == built
    assert runs(recipe) == 1


def test_a_folder_that_is_only_to_be_read_runs_no_recipe(recipe: Path) -> None:
    with pytest.raises(BadInput, match="this is a recipe, which runs code"):
        read_corpus(recipe)


def test_reading_builds_and_keeps_the_manifest(recipe: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAGPROF_CACHE", str(cache))
    corpus = read_corpus(recipe, format="recipe")
    assert corpus.name == "tiny"
    assert [doc.doc_id for doc in corpus.docs] == ["one", "two"]
    assert (corpus.manifest["format"], corpus.manifest["versions"], corpus.manifest["documents"]) == ("recipe", {}, 2)
    assert read_corpus(recipe, format="recipe").sha256 == corpus.sha256
    assert runs(recipe) == 1


def test_a_changed_recipe_is_another_corpus(recipe: Path, cache: Path) -> None:
    first = build(recipe, cache=cache)
    (recipe / "recipe.toml").write_text(SETTINGS.replace('"two"', '"three"'))
    second = build(recipe, cache=cache)
    (recipe / "part.py").write_text("")
    assert len({first, second, build(recipe, cache=cache)}) == 3
    assert "three" in (second / "corpus.jsonl").read_text()


@pytest.mark.parametrize("damage", ["corpus.jsonl", "manifest.json"])
def test_a_damaged_build_is_made_again(recipe: Path, cache: Path, damage: str) -> None:
    built = build(recipe, cache=cache)
    (built / damage).write_text("{")
    assert build(recipe, cache=cache) == built
    assert runs(recipe) == 2
    assert "one" in (built / "corpus.jsonl").read_text()


def test_a_failing_script_leaves_nothing_and_is_quoted(recipe: Path, cache: Path) -> None:
    (recipe / "make.py").write_text("raise SystemExit('\\n'.join(f'line {n}' for n in range(9)))")
    with pytest.raises(BadInput) as caught:
        build(recipe, cache=cache)
    assert str(caught.value) == (
        f"{recipe / 'make.py'}: building the corpus 'tiny' ended with 1; mend the script, which said:\n"
        "line 4\nline 5\nline 6\nline 7\nline 8"
    )
    assert list((cache / "corpora").iterdir()) == []


def test_a_script_that_writes_too_little_is_refused(recipe: Path, cache: Path) -> None:
    (recipe / "make.py").write_text("")
    expected = r"make\.py: the script succeeded, but did not write corpus\.jsonl and a manifest\.json with its sha256"
    with pytest.raises(BadInput, match=expected):
        build(recipe, cache=cache)


def test_a_cache_that_cannot_be_written(recipe: Path, cache: Path) -> None:
    cache.write_text("a file")
    with pytest.raises(BadInput, match="cannot write it: Not a directory; set RAGPROF_CACHE to a folder"):
        build(recipe, cache=cache)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ("name = \n", r"recipe\.toml:1: not valid TOML: Invalid value \(at line 1, column 8\)"),
        ('build = "make.py"\n', r"recipe\.toml: 'name': Field required"),
        ('name = "../up"\nbuild = "make.py"\n', r"recipe\.toml: 'name': '\.\./up' cannot be a name"),
        ('name = "tiny"\nbuild = "../make.py"\n', r"recipe\.toml: 'build': '\.\./make\.py' is no script"),
        ('name = "tiny"\nbuild = "mkae.py"\n', r"build = 'mkae\.py', but there is no such script beside it"),
    ],
)
def test_mistakes_in_a_recipe(recipe: Path, settings: str, said: str) -> None:
    (recipe / "recipe.toml").write_text(settings)
    with pytest.raises(BadInput, match=said):
        info(recipe)


def test_a_folder_without_a_recipe(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"recipe\.toml: there is no such recipe; a recipe folder has a recipe\.toml"):
        info(tmp_path)


def test_a_name_is_found_beside_and_above_the_eval_file(
    recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deep = tmp_path / "evals" / "tiny"
    deep.mkdir(parents=True)
    assert find("tiny", near=deep / "eval.toml") == recipe
    assert find("tiny", near=tmp_path) == recipe
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / "corpora" / "other").mkdir(parents=True)
    monkeypatch.chdir(elsewhere)
    assert find("other", near=deep / "eval.toml") == elsewhere / "corpora" / "other"


def test_a_path_starts_at_the_eval_file(recipe: Path, tmp_path: Path) -> None:
    assert find("./corpora/tiny", near=tmp_path / "eval.toml") == recipe
    assert find(str(recipe), near=Path("/")) == recipe
    with pytest.raises(BadInput, match="there is no such corpus; the path starts at the file that names it"):
        find("./corpora/tony", near=tmp_path / "eval.toml")


def test_an_unknown_name_lists_the_others(recipe: Path, tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match=r"no corpus named 'tinny'; did you mean 'tiny'\? There are: .*tiny"):
        find("tinny", near=tmp_path / "eval.toml")


def test_a_script_gets_no_key_of_the_user(recipe: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test-3141592653589793")
    monkeypatch.setenv("DATABASE_URL", "postgres://me:secret@db")
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    telling = "import os\nPath(sys.argv[1]).with_name('seen.json').write_text(json.dumps(dict(os.environ)))\n"
    (recipe / "make.py").write_text(SCRIPT + telling)
    build(recipe, cache=cache)
    seen = json.loads((recipe / "seen.json").read_text())
    assert seen["LC_ALL"] == "C.UTF-8"
    assert {"OPENAI_API_KEY", "DATABASE_URL"} & seen.keys() == set()
