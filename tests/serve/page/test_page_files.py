"""The page's files by themselves, without a browser: whole, from nowhere else, and fit for a strict policy."""

import re
import tomllib
from html.parser import HTMLParser
from pathlib import Path

import pytest
import scripted_server

ROOT = Path(__file__).resolve().parents[3]
PAGE = ROOT / "kolossos/serve/page"
FILES = sorted(PAGE.iterdir())
SCRIPTS = [file for file in FILES if file.suffix == ".js"]


class Tags(HTMLParser):
    """Every tag of a page with its attributes, and whether text stands in a script or a style."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.inline = ""
        self._within = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._within = tag

    def handle_data(self, data: str) -> None:
        if self._within in ("script", "style"):
            self.inline += data.strip()


def tags() -> Tags:
    parser = Tags()
    parser.feed((PAGE / "index.html").read_text(encoding="utf-8"))
    return parser


def test_the_page_has_no_script_or_style_of_its_own_and_no_handlers() -> None:
    page = tags()
    assert page.inline == ""
    names = {name for _, attributes in page.tags for name in attributes}
    assert [name for name in names if name.startswith("on") or name == "style"] == []
    assert "style" not in {tag for tag, _ in page.tags}


def test_every_file_named_exists_and_every_file_is_named() -> None:
    named = {"index.html"}
    for _, attributes in tags().tags:
        for attribute in ("src", "href"):
            value = attributes.get(attribute) or ""
            if value and not value.startswith("#"):
                named.add(value)
    for script in SCRIPTS:
        named |= set(re.findall(r'^import .* from "\./([\w.]+)";$', script.read_text(encoding="utf-8"), re.M))
    assert sorted(named) == [file.name for file in FILES]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_nothing_comes_from_elsewhere_and_no_text_becomes_markup(file: Path) -> None:
    text = file.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
    assert re.findall(r"https?:|//[\w-]+\.|@import|url\(|data:[a-z]+/", text) == []
    markup = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser|srcdoc|\beval\b|new Function|cssText"
    assert re.findall(markup, text) == []
    assert re.findall(r"setAttribute\(.style|[{,] style: ", text) == []
    assert len(text.splitlines()) < 300


def test_identifiers_that_the_scripts_ask_for_are_on_the_page_once() -> None:
    found = [attributes["id"] for _, attributes in tags().tags if "id" in attributes]
    assert len(found) == len(set(found))
    asked = {name for script in SCRIPTS for name in re.findall(r'\$\("([\w-]+)"\)', script.read_text(encoding="utf-8"))}
    assert asked - set(found) == set()
    for tag, attributes in tags().tags:
        for attribute in ("for", "aria-controls", "aria-labelledby", "aria-describedby"):
            if attribute in attributes:
                assert attributes[attribute] in found, (tag, attribute)


def test_fields_have_names_for_those_who_do_not_see_them() -> None:
    page = tags()
    labelled = {attributes["for"] for tag, attributes in page.tags if tag == "label" and "for" in attributes}
    for tag, attributes in page.tags:
        if tag in ("input", "textarea") and attributes.get("type") != "checkbox":
            assert attributes["id"] in labelled or "aria-label" in attributes


def test_the_files_travel_with_the_package() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    patterns = project["tool"]["setuptools"]["package-data"]["kolossos"]
    carried = {file for pattern in patterns for file in (ROOT / "kolossos").glob(pattern)}
    assert set(FILES) <= carried


def test_the_scripted_server_serves_every_kind_of_file_there_is() -> None:
    assert {file.suffix for file in FILES} <= set(scripted_server.KINDS)
