import base64
import hashlib
import re
from html.parser import HTMLParser
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from psmnet.errors import InputError
from psmnet.report.page import PageTable, write_page

TABLE = PageTable("Means", ("organ", "Dice", "scans"), (("liver", "0.91", "4"), ("aorta", "-", "0")))
NASTY = "<script>alert('x')</script>\"><img src=https://example.org/a.png onerror=1>&"


class Elements(HTMLParser):
    """Every element of a page, with its attributes and the text directly after its opening tag."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, str]] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.texts.append((self.found[-1][0] if self.found else "", data))

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.found if name == tag]

    def text(self, tag: str) -> str:
        return "".join(data for name, data in self.texts if name == tag).strip()


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "picture.png"
    Image.new("RGB", (30, 20), (255, 0, 0)).save(path)
    return path


def written(folder: Path, **content: Any) -> str:
    path = folder / "page.html"
    write_page(path, **{"title": "A title", "intro": "An intro.", "tables": [TABLE], "pictures": [], **content})
    return path.read_text(encoding="utf-8")


def test_page_has_headings_table_picture_and_footer(tmp_path, picture):
    text = written(tmp_path, pictures=[("Scan 1", picture)])
    page = Elements(text)
    assert text.startswith("<!DOCTYPE html>")
    assert page.text("title") == page.text("h1") == "A title"
    assert page.text("p") == "An intro."
    assert [tag for tag, _ in page.found if tag in {"h1", "h2"}] == ["h1", "h2", "h2"]
    assert page.text("caption") == "Means"
    assert [a["scope"] for a in page.all("th")] == ["col"] * 3 + ["row"] * 2
    assert page.text("td") == "0.914-0"
    assert page.text("footer") == f"psmnet {version('psmnet')}: for research, not a medical device."
    (image,) = page.all("img")
    assert (image["alt"], image["width"], image["height"]) == ("Scan 1", "30", "20")
    source = image["src"] or ""
    assert base64.b64decode(source.removeprefix("data:image/png;base64,")) == picture.read_bytes()


def test_page_is_readable_anywhere(tmp_path):
    text = written(tmp_path)
    page = Elements(text)
    assert page.all("html") == [{"lang": "en"}]
    assert {"charset": "utf-8"} in page.all("meta")
    assert {"name": "viewport", "content": "width=device-width, initial-scale=1"} in page.all("meta")
    assert "prefers-color-scheme: dark" in page.text("style")


def test_page_loads_and_runs_nothing(tmp_path, picture):
    text = written(tmp_path, pictures=[("Scan 1", picture)])
    page = Elements(text)
    assert not re.search(r"https?://|//[a-z]|url\(|@import", text.split("base64,")[0])
    assert {tag for tag, _ in page.found}.isdisjoint({"script", "link", "iframe", "object", "embed", "form", "base"})
    attributes = [(name, value) for _, found in page.found for name, value in found.items()]
    assert not [name for name, _ in attributes if name.startswith("on") or name in {"href", "style"}]
    assert all((value or "").startswith("data:image/") for name, value in attributes if name == "src")


def test_policy_allows_this_style_and_embedded_pictures_alone(tmp_path):
    text = written(tmp_path)
    (policy,) = [a["content"] for a in Elements(text).all("meta") if a.get("http-equiv") == "Content-Security-Policy"]
    style = text.split("<style>")[1].split("</style>")[0]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert policy == (
        f"default-src 'none'; img-src data:; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    )
    assert text.index("Content-Security-Policy") < text.index("<style>")  # a policy binds only what follows it


def test_everything_from_outside_is_escaped(tmp_path, picture):
    table = PageTable(NASTY, (NASTY, NASTY), ((NASTY, NASTY),))
    text = written(tmp_path, title=NASTY, intro=NASTY, tables=[table], pictures=[(NASTY, picture)])
    page = Elements(text)
    assert not page.all("script")
    assert len(page.all("img")) == 1
    assert page.all("img")[0]["alt"] == NASTY
    for tag in ("h1", "p", "caption", "td", "figcaption"):
        assert page.text(tag) == NASTY
    # Title, h1, p; the table's region, caption, two headings, row name and cell; the picture's caption, region and alt.
    assert text.count("&lt;script&gt;") == 12


@pytest.mark.parametrize("name", ["печень", "肝臓", "Ärzte"])
def test_other_scripts_are_kept(tmp_path, name):
    assert f"<h1>{name}</h1>" in written(tmp_path, title=name)


def test_control_characters_and_broken_names_do_not_crash(tmp_path):
    page = Elements(written(tmp_path, title="a\0b\x1b[31mc\udcff"))
    assert page.text("h1") == "a b [31mc?"


def test_numbers_are_aligned_right_and_words_left(tmp_path):
    table = PageTable("c", ("organ", "Dice", "note"), (("1", "0.9", "good"), ("2", "-", "3")))
    page = Elements(written(tmp_path, tables=[table]))
    assert [a.get("class") for a in page.all("td")] == ["number", None, "number", None]


def test_paragraphs_and_empty_sections(tmp_path):
    page = Elements(written(tmp_path, intro="one\ntwo\n\nthree\n\n\n", tables=[], pictures=[]))
    assert len(page.all("p")) == 2
    assert not page.all("h2")


def test_a_table_may_have_no_rows(tmp_path):
    assert "<tbody></tbody>" in written(tmp_path, tables=[PageTable("none", ("organ", "Dice"), ())])


def test_rows_must_fill_the_columns():
    with pytest.raises(InputError, match="row 2 of table 'c' has 1 cells for 2 columns"):
        PageTable("c", ("a", "b"), (("1", "2"), ("3",)))


def test_jpeg_is_embedded_as_such(tmp_path):
    Image.new("L", (8, 8)).save(tmp_path / "a.jpg")
    page = Elements(written(tmp_path, pictures=[("a", tmp_path / "a.jpg")]))
    assert (page.all("img")[0]["src"] or "").startswith("data:image/jpeg;base64,")


def test_what_is_no_picture_is_refused_and_nothing_is_written(tmp_path):
    (tmp_path / "a.svg").write_text("<svg onload='alert(1)'/>")
    for path, reason in ((tmp_path / "a.svg", "not a PNG or JPEG"), (tmp_path / "b.png", "No such file")):
        with pytest.raises(InputError, match=reason):
            written(tmp_path, pictures=[("a", path)])
    assert not (tmp_path / "page.html").exists()
