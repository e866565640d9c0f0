"""Folders of pages: which files are read, what their title and text are, and how they are cut into passages."""

import os
import time
import warnings
from pathlib import Path
from unicodedata import normalize

import pytest

from ragprof.core import Doc
from ragprof.core.errors import BadInput
from ragprof.corpus import Chunking, Corpus, read_corpus, read_qrels
from ragprof.corpus.account import LeftOut, ReadingAccount
from ragprof.corpus.collection import bounded, cut
from ragprof.corpus.markup import html, markdown, restructured_text


def written(folder: Path, pages: dict[str, str]) -> Path:
    for name, content in pages.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode())
    return folder


def titles(corpus: Corpus) -> dict[str, str]:
    return {doc.doc_id: doc.title for doc in corpus.docs}


def test_all_kinds_of_pages_are_read_and_cut(tmp_path: Path) -> None:
    pages = {
        "guide/setup.md": "# Set up\r\n\r\nInstall it.\r\n",
        "notes.TXT": "Plain words.\n",
        "reference.rst": "Reference\n=========\n\nAll of it.\n",
        "web/index.html": "<title>Start - Site</title><h1>Start</h1><p>Welcome.</p>",
        "web/old.htm": "<title>Old page</title><p>Bye.</p>",
        "image.png": "not a page",
        ".git/config.md": "# hidden",
        "guide/.draft.md": "# hidden",
    }
    corpus = read_corpus(written(tmp_path / "docs", pages))
    assert corpus.name == "docs"
    assert titles(corpus) == {
        "guide/setup.md#0001": "Set up",
        "notes.TXT#0001": "notes",
        "reference.rst#0001": "Reference",
        "web/index.html#0001": "Start",
        "web/old.htm#0001": "Old page",
    }
    assert list(corpus.document_of.values())[:2] == ["guide/setup.md", "notes.TXT"]
    assert [doc.text for doc in corpus.docs] == [
        "# Set up\n\nInstall it.",
        "Plain words.",
        "Reference\n=========\n\nAll of it.",
        "Start\n\nWelcome.",
        "Bye.",
    ]
    assert corpus.manifest == {
        "format": "folder",
        "documents": 5,
        "chunking": {"splitter": "auto", "max_characters": 1200, "overlap": 0},
    }


def test_long_pages_are_cut_along_their_headings(tmp_path: Path) -> None:
    pages = {"guide.md": "# One\n\nFirst part.\n\n# Two\n\nSecond part.\n"}
    corpus = read_corpus(written(tmp_path, pages), chunking=Chunking(max_characters=22))
    assert [(doc.doc_id, doc.text) for doc in corpus.docs] == [
        ("guide.md#0001", "# One\n\nFirst part."),
        ("guide.md#0002", "# Two\n\nSecond part."),
    ]
    assert {doc.title for doc in corpus.docs} == {"One"}


def test_passages_overlap_as_told(tmp_path: Path) -> None:
    folder = written(tmp_path, {"a.txt": "One two. Three four. Five six. Seven eight."})
    apart = read_corpus(folder, chunking=Chunking(max_characters=21))
    overlapping = read_corpus(folder, chunking=Chunking(max_characters=21, overlap=12))
    assert [doc.text for doc in apart.docs] == ["One two. Three four.", "Five six.", "Seven eight."]
    assert [doc.text for doc in overlapping.docs] == ["One two. Three four.", "Three four. Five six.", "Seven eight."]


def test_jsonl_is_cut_only_when_asked(tmp_path: Path) -> None:
    path = tmp_path / "corpus.jsonl"
    path.write_text(
        '{"_id": "a", "title": "T", "text": "One two. Three four."}\n{"_id": "b", "title": "Only", "text": ""}\n'
    )
    assert [doc.doc_id for doc in read_corpus(path).docs] == ["a", "b"]
    corpus = read_corpus(path, chunking=Chunking(max_characters=12))
    assert [(doc.doc_id, doc.title, doc.text, doc.document_id) for doc in corpus.docs] == [
        ("a#0001", "T", "One two.", "a"),
        ("a#0002", "T", "Three four.", "a"),
        ("b#0001", "Only", "", "b"),
    ]
    assert corpus.manifest["documents"] == 2


def test_a_splitter_can_be_chosen_for_all(tmp_path: Path) -> None:
    path = tmp_path / "corpus.jsonl"
    path.write_text('{"_id": "a", "text": "# One\\nFirst part\\n# Two\\nSecond part"}\n')
    as_text = read_corpus(path, chunking=Chunking(splitter="text", max_characters=30))
    as_markdown = read_corpus(path, chunking=Chunking(splitter="markdown", max_characters=30))
    assert [doc.text for doc in as_text.docs] == ["# One\nFirst part\n# Two", "Second part"]
    assert [doc.text for doc in as_markdown.docs] == ["# One\nFirst part", "# Two\nSecond part"]


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"max_characters": 0}, "greater than or equal to 1"),
        ({"max_characters": 10, "overlap": 10}, "overlap 10 must be smaller than max_characters 10"),
        ({"splitter": "sentences"}, "Input should be 'auto', 'text' or 'markdown'"),
    ],
)
def test_impossible_cuts_are_refused(values: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Chunking.model_validate(values)


@pytest.mark.parametrize(
    ("source", "title"),
    [
        ("intro\n\n## The `first` heading ##\n\n# Second\n", "The `first` heading"),
        ("Underlined\n===\n\n# Later\n", "Underlined"),
        ("```sh\n# a comment\n```\n\n# Real\n", "Real"),
        ("# C#\n", "C#"),
        ("---\ntitle: 'From the front'\n---\n## Before you begin\n", "From the front"),
        ("---\nweight: 3\n---\n\n# Below\n", "Below"),
        ('---\ntitle: "It\'s: \\u00e9"\n---\n', "It's: \xe9"),
        ("---\ntitle: >\n  Two\n  lines\n---\n", "Two lines"),
        ("---\ntitle: Real # a remark\n---\n", "Real"),
        ("---\nmenu:\n  title: nested\ntitle: 2024\n---\n", "2024"),
        ("---\ntitle: [a, b\n---\n# Below\n", "Below"),
        ("---\ntitle:\n  short: x\n---\n# Below\n", "Below"),
        ("#hashtag and no heading\n\n---\n\ntext\n", ""),
        ("| a |\n|---|\n| 1 |\n", ""),
    ],
)
def test_title_of_markdown(source: str, title: str) -> None:
    assert markdown(source).title == title


@pytest.mark.parametrize(
    ("source", "title"),
    [
        (".. _top:\n\n=======\n Title\n=======\n\ntext\n", "Title"),
        ("para\n--\n\nSection\n-------\n", "Section"),
        ("=====  =====\na      b\n=====  =====\n", ""),
        ("no heading\n", ""),
    ],
)
def test_title_of_restructured_text(source: str, title: str) -> None:
    assert restructured_text(source).title == title


def test_html_loses_scripts_and_markup_but_not_its_paragraphs() -> None:
    source = """<!doctype html><html><head><title>T</title><style>p {color: red}</style></head><body><!-- no -->
    <script>alert(1)</script><h1>Install <code>it</code><a class="headerlink">¶</a></h1>
    <p>Use the <b>fast</b>
       way&nbsp;now.</p><ul><li>one</li><li>two</li></ul><table><tr><td>a</td><td>b</td></tr></table>line<br><pre>if x:
    go()</pre></body></html>"""
    page = html(source)
    assert page.title == "Install it"
    assert page.text == "Install it\n\nUse the fast way now.\n\none\ntwo\n\na b\n\nline\n\nif x:\n    go()"


def test_large_html_takes_no_quadratic_time() -> None:
    parts = (f"<h2>Part {number}</h2>\n<p>Some <b>text</b>.</p>\n" for number in range(3000))
    started = time.process_time()
    assert html("".join(parts)).text.startswith("Part 0\n\nSome text.\n\nPart 1\n\n")
    assert time.process_time() - started < 4


@pytest.mark.parametrize("source", ["index.html", '<?xml version="1.0"?><html><body>hello</body></html>'])
def test_odd_html_makes_no_warning(source: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert html(source).text in ("index.html", "hello")


def test_pages_without_text_are_left_out_and_listed(tmp_path: Path) -> None:
    corpus = read_corpus(written(tmp_path, {"a.md": "# A\n", "b.txt": " \n"}))
    assert [doc.document_id for doc in corpus.docs] == ["a.md"]
    assert corpus.account.read == {".md": 1}
    assert corpus.account.left_out == (LeftOut(kind=".txt", reason="no text", count=1, examples=("b.txt",)),)


def test_folders_without_any_text(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"nothing to read in this folder; a corpus folder has a corpus\.jsonl or files"):
        read_corpus(tmp_path)
    with pytest.raises(BadInput, match=r"no page below this folder; a corpus needs text in \.csv \.docx"):
        read_corpus(tmp_path, format="folder")
    written(tmp_path, {"a.md": ""})
    with pytest.raises(
        BadInput, match=r"no page with text below this folder \(1 \.md \(no text\): a\.md\); a corpus needs text in"
    ):
        read_corpus(tmp_path)


def test_what_is_no_page_is_told_by_kind_and_reason(tmp_path: Path) -> None:
    folder = written(tmp_path / "docs", {"a.md": "# A\n", "b.doc": "DOC", "c.doc": "DOC", "d.mdx": "# D"})
    written(folder, {"e/f.dwg": "{}", "LICENSE": "free", ".git/config.md": "# no", "e/.draft.md": "# no"})
    (folder / "linked").symlink_to(folder / "e")
    assert read_corpus(folder).account == ReadingAccount(
        read={".md": 1},
        left_out=(
            LeftOut(kind=".doc", reason="this kind of file is not read", count=2, examples=("b.doc", "c.doc")),
            LeftOut(kind=".dwg", reason="this kind of file is not read", count=1, examples=("e/f.dwg",)),
            LeftOut(kind=".mdx", reason="this kind of file is not read", count=1, examples=("d.mdx",)),
            LeftOut(kind="file", reason="hidden", count=1, examples=("e/.draft.md",)),
            LeftOut(
                kind="file without a suffix", reason="this kind of file is not read", count=1, examples=("LICENSE",)
            ),
            LeftOut(kind="folder", reason="a link", count=1, examples=("linked",)),
            LeftOut(kind="folder", reason="hidden", count=1, examples=(".git",)),
        ),
    )


def test_broken_files_stop_nothing_and_are_told(tmp_path: Path) -> None:
    folder = written(tmp_path / "docs", {"good.md": "# Good\n"})
    (folder / "dangling.md").symlink_to(folder / "gone.md")
    (folder / "latin.md").write_bytes(b"# A\ncaf\xe9\n")
    os.mkfifo(folder / "pipe.txt")
    (folder / "empty.html").write_text("<script>start()</script><nav>Home</nav>")
    corpus = read_corpus(folder)
    assert [doc.document_id for doc in corpus.docs] == ["good.md"]
    assert {str(each) for each in corpus.account.left_out} == {
        "1 .md (a link that leads nowhere): dangling.md",
        "1 .md (not UTF-8; convert it with iconv): latin.md",
        "1 .txt (not a file): pipe.txt",
        "1 .html (no text beside scripts and navigation): empty.html",
    }


NO_TEXT = "no text, whatever its name says: its bytes are those of another kind of file"


@pytest.mark.parametrize("suffix", ["txt", "md", "rst", "html", "csv", "json", "jsonl", "ipynb"])
def test_a_file_that_is_no_text_by_its_bytes_is_left_out_and_told(suffix: str, tmp_path: Path) -> None:
    (tmp_path / "good.md").write_text("# Good\n")
    page = '<meta charset="iso-8859-1"><p>' if suffix == "html" else ""  # in this encoding all bytes are signs
    for name, content in {
        "image": b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "zeros": b"Ducks\0\0swim\0\0", "noise": bytes(range(1, 256)) * 8,
        "wide": "Ducks swim.".encode("utf-16-le"), "old": b"caf\xe9 " * 9, "marked": "\x01\x02".encode("utf-16") * 9,
    }.items():  # fmt: skip
        (tmp_path / f"{name}.{suffix}").write_bytes((page if name == "noise" else "").encode() + content)
    corpus = read_corpus(tmp_path)
    assert [doc.document_id for doc in corpus.docs] == ["good.md"]
    assert [str(each) for each in corpus.account.left_out] == [
        f"4 .{suffix} ({NO_TEXT}): image.{suffix}, marked.{suffix}, noise.{suffix}, zeros.{suffix}",
        f"1 .{suffix} (UTF-16 without a byte order mark; convert it with iconv): wide.{suffix}",
        f"1 .{suffix} (not UTF-8; convert it with iconv): old.{suffix}",
    ]


def test_colours_of_a_terminal_and_overprinting_are_text(tmp_path: Path) -> None:
    (tmp_path / "log.txt").write_text("\x1b[31mred\x1b[0m N\x08NA\x08AM\x08M\f\n")
    assert len(read_corpus(tmp_path).docs) == 1


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_what_may_not_be_read_is_told(tmp_path: Path) -> None:
    folder = written(tmp_path / "docs", {"good.md": "# Good\n", "secret.md": "# S\n", "closed/page.md": "# P\n"})
    (folder / "secret.md").chmod(0)
    (folder / "closed").chmod(0)
    told = {str(each) for each in read_corpus(folder).account.left_out}
    (folder / "closed").chmod(0o700)
    assert told == {
        "1 .md (cannot be read: Permission denied): secret.md",
        "1 folder (cannot be opened: Permission denied): closed",
    }


def test_html_in_the_encoding_that_it_states(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_bytes('<meta charset="iso-8859-1"><p>caf\xe9</p>'.encode("latin-1"))
    (tmp_path / "b.txt").write_bytes("na\xefve".encode("utf-16"))
    assert [doc.text for doc in read_corpus(tmp_path).docs] == ["caf\xe9", "na\xefve"]


def test_names_with_composed_and_decomposed_accents_are_one_id(tmp_path: Path) -> None:
    composed, decomposed = normalize("NFC", "caf\xe9.md"), normalize("NFD", "caf\xe9.md")
    apart = written(tmp_path / "apart", {decomposed: "# A\n"})
    assert read_corpus(apart).docs[0].document_id == composed
    (tmp_path / "test.tsv").write_text(f"q\t{decomposed}\t1\n", encoding="utf-8")
    assert read_qrels(tmp_path / "test.tsv") == {"q": {composed: 1}}
    both = written(tmp_path / "both", {composed: "# A\n", decomposed: "# B\n"})
    if len(list(both.iterdir())) == 2:  # some file systems hold the two for one
        (told,) = read_corpus(both).account.left_out
        assert (told.count, told.reason) == (1, "another page has this name, with its accents encoded differently")


def test_the_sites_header_navigation_and_footer_are_no_text() -> None:
    page = html(
        "<header>Acme <h1>Ponds</h1></header><nav>Home | About</nav><div role='navigation'>Next</div>"
        "<main><article><header>By Ann</header><p>Ducks swim.</p><footer>Note 1</footer></article></main>"
        "<footer>Imprint</footer>"
    )
    assert (page.title, page.text) == ("Ponds", "By Ann\nDucks swim.\n\nNote 1".replace("Ann\n", "Ann\n\n"))


@pytest.mark.parametrize(
    "element",
    [
        *("address", "article", "aside", "blockquote", "dd", "details", "dialog", "div", "dl", "dt", "fieldset"),
        *("figcaption", "figure", "form", "h1", "h6", "hgroup", "legend", "li", "main", "menu", "ol", "optgroup"),
        *("option", "p", "pre", "search", "section", "select", "summary", "table", "ul"),
    ],
)
def test_words_of_two_blocks_are_never_glued(element: str) -> None:
    assert html(f"one<{element}>two</{element}>three").text.split() == ["one", "two", "three"]


def test_words_around_a_rule_and_a_break_are_never_glued() -> None:
    assert html("one<hr>two<br>three<td>four").text.split() == ["one", "two", "three", "four"]


def test_data_uris_are_no_text_and_told(tmp_path: Path) -> None:
    image = "data:image/png;base64," + "iVBORw0KGgo" * 2000
    folder = written(tmp_path, {"a.md": f"# A\n\nSee ![chart]({image}) and ![line](data:image/svg+xml,%3Csvg%3E).\n"})
    written(tmp_path, {"b.md": "Write `data:text/javascript,start()` to import code.\n"})
    corpus = read_corpus(folder)
    assert [doc.text for doc in corpus.docs] == [
        "# A\n\nSee ![chart]() and ![line]().",
        "Write `data:text/javascript,start()` to import code.",
    ]
    assert str(corpus.account.left_out[0]) == "2 data URIs (the bytes of an image or a font): a.md"


@pytest.mark.parametrize(
    "text",
    [
        "\u8fd9\u662f\u4e00\u4e2a\u6ca1\u6709\u7a7a\u683c\u7684\u53e5\u5b50" * 27_273,
        "x" * 300_000,
        "iVBORw0KGgoAAAANSUhEUgAA/+" * 11_539,
    ],
    ids=["chinese", "one-word", "base64"],
)
def test_text_without_spaces_is_cut_in_linear_time(text: str) -> None:
    """300,000 characters took 93 s."""
    started = time.process_time()
    passages = list(cut([Doc("a.txt", "", text, "a.txt")], Chunking()))
    assert time.process_time() - started < 8
    assert "".join(passage.text for passage in passages) == text
    assert max(len(passage.text) for passage in passages) <= 1200


def test_long_text_with_sentences_is_cut_as_ever() -> None:
    text = "Ducks swim in ponds. Trains run on rails.\n\n" * 1000
    assert bounded(text, 1200) == [text]


def test_formats_that_do_not_fit(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# Page\n")
    with pytest.raises(
        BadInput, match=r"cannot tell the format of a '\.md' file; give an unpacked \.jsonl file, or the"
    ):
        read_corpus(page)
    with pytest.raises(BadInput, match="this is a file; the format 'folder' needs the folder that the pages are in"):
        read_corpus(page, format="folder")
    with pytest.raises(BadInput, match="no corpus format named 'bier'; did you mean 'beir'"):
        read_corpus(tmp_path, format="bier")
