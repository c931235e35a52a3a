"""The shape of the house: small folders, short functions, no circles, and a page that tells the truth."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CODE = ("kolossos", "benchmarks", "tests")
MOST_FILES, MOST_LINES, MOST_FUNCTION_LINES, MOST_PARAMETERS = 20, 500, 60, 7


def sources(*folders: str) -> Iterator[Path]:
    for folder in folders:
        yield from sorted((ROOT / folder).rglob("*.py"))


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def test_no_folder_holds_more_than_twenty_files_of_code() -> None:
    folders = {path.parent for path in sources(*CODE)}
    counts = {str(folder.relative_to(ROOT)): len(list(folder.glob("*.py"))) for folder in folders}
    assert {folder: n for folder, n in counts.items() if n > MOST_FILES} == {}


def test_no_file_is_longer_than_five_hundred_lines() -> None:
    lengths = {str(path.relative_to(ROOT)): len(path.read_text("utf-8").splitlines()) for path in sources(*CODE)}
    assert {name: n for name, n in lengths.items() if n > MOST_LINES} == {}


def test_no_function_is_longer_than_sixty_lines() -> None:
    long = [
        f"{path.relative_to(ROOT)}:{node.lineno} {node.name}"
        for path in sources("kolossos", "benchmarks")
        for node in functions(path)
        if (node.end_lineno or 0) - node.body[0].lineno + 1 > MOST_FUNCTION_LINES  # options of a command are no work
    ]
    assert long == []


def test_no_function_takes_more_than_seven_parameters_by_position() -> None:
    wide = []
    for path in sources("kolossos", "benchmarks"):
        for node in functions(path):
            names = [a.arg for a in (*node.args.posonlyargs, *node.args.args) if a.arg not in ("self", "cls")]
            if names[:1] == ["ctx"]:  # of an autograd.Function, which torch calls by position
                continue
            if len(names) > MOST_PARAMETERS:
                wide.append(f"{path.relative_to(ROOT)}:{node.lineno} {node.name} ({len(names)})")
    assert wide == []


def test_benchmarks_import_each_other_without_a_circle() -> None:
    folder = ROOT / "benchmarks"
    modules = {path.stem for path in folder.glob("*.py")} | {"peers"}
    imports: dict[str, set[str]] = {}
    for path in sources("benchmarks"):
        name = path.stem if path.parent == folder else "peers"
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            found = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            found += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            imports.setdefault(name, set()).update({f.split(".")[0] for f in found} & modules - {name})
    done: set[str] = set()

    def walk(name: str, way: tuple[str, ...]) -> None:
        assert name not in way, f"a circle: {' -> '.join((*way, name))}"
        if name not in done:
            for other in sorted(imports.get(name, ())):
                walk(other, (*way, name))
            done.add(name)

    for name in sorted(imports):
        walk(name, ())


@pytest.mark.parametrize("room", sorted(p.name for p in (ROOT / "kolossos").iterdir() if (p / "__init__.py").exists()))
def test_the_page_names_every_room(room: str) -> None:
    page = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    assert f"`{room}/`" in page, f"docs/architecture.md says nothing of {room}/"


def test_every_row_of_the_table_names_a_test_that_exists_and_files_that_exist() -> None:
    page = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    table = page[page.index("## To add something") :]
    rows = [line for line in table.splitlines() if line.startswith("| ") and not line.startswith(("| to add", "| ---"))]
    assert len(rows) >= 8
    for row in rows:
        _, files, held_by = (cell.strip() for cell in row.strip("|").split("|"))
        for name in re.findall(r"`([\w./-]+)`", held_by):
            assert (ROOT / name).exists(), f"{name} of {row}"
        for name in re.findall(r"`([\w./-]+)`", files):
            assert (ROOT / name).exists(), f"{name} of {row}"


def test_domain_rooms_do_not_speak_of_command_line_flags() -> None:
    flag = re.compile(r"(?<![\w`-])--[a-z][a-z-]+")
    found = []
    for path in sources("kolossos"):
        if path.relative_to(ROOT / "kolossos").parts[0] == "cli":
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Raise):
                text = ast.unparse(node)
                found += [f"{path.relative_to(ROOT)}:{node.lineno} {hit}" for hit in flag.findall(text)]
    assert found == []


def test_files_of_tests_have_names_of_their_own() -> None:
    names = [path.name for path in (ROOT / "tests").rglob("test_*.py")]  # pytest imports them by it
    assert sorted(set(names)) == sorted(names)
