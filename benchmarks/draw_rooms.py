"""The house as it is: draws docs/architecture.png from the imports in the code, and fills the line counts of the page.

    python benchmarks/draw_rooms.py

Rooms stand on the floors that import-linter holds them to (pyproject.toml); an arrow is an import that exists.
"""

import tomllib
from pathlib import Path

import grimp
import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from fill_pages import fill
from matplotlib.patches import FancyBboxPatch

ROOT = Path(__file__).parent.parent
TORCH = {"model", "parallel", "train", "serve", "calibrate"}
PAPER, INK, WARM, COLD = "#ffffff", "#1f2328", "#f6d9b8", "#cfe3f5"


def floors() -> list[list[str]]:
    """The rooms by floor, top first, as the layers contract names them."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    layers = next(c for c in contracts if c["type"] == "layers")["layers"]
    return [[name.strip().removeprefix("kolossos.") for name in floor.replace(":", "|").split("|")] for floor in layers]


def lines_of(room: str) -> tuple[int, int]:
    """Files and lines of a room."""
    place = ROOT / "kolossos" / room
    files = sorted(place.rglob("*.py")) if place.is_dir() else [place.with_suffix(".py")]
    return len(files), sum(len(path.read_text(encoding="utf-8").splitlines()) for path in files)


def imports() -> set[tuple[str, str]]:
    """(importer, imported) among the rooms."""
    graph = grimp.build_graph("kolossos")
    rooms = [room for floor in floors() for room in floor]
    return {
        (a, b)
        for a in rooms
        for b in rooms
        if a != b
        and graph.find_modules_directly_imported_by  # the squashed graph below answers for whole rooms
        and graph.direct_import_exists(importer=f"kolossos.{a}", imported=f"kolossos.{b}", as_packages=True)
    }


def draw(path: Path) -> None:
    """The picture: floors from the command line down to the errors."""
    levels = floors()
    figure, axes = plt.subplots(figsize=(10, 7.2), dpi=150, facecolor=PAPER)
    axes.set_axis_off()
    axes.set_xlim(0, 10)
    axes.set_ylim(-0.6, len(levels) - 0.3)
    places: dict[str, tuple[float, float]] = {}
    for number, floor in enumerate(levels):
        for i, room in enumerate(floor):
            places[room] = (10 * (i + 0.5) / len(floor), len(levels) - 1 - number)
    for importer, imported in sorted(imports()):
        (x0, y0), (x1, y1) = places[importer], places[imported]
        curve = 0.0 if y0 - y1 <= 1 else 0.08 * (1 if x0 <= x1 else -1)
        style = {"arrowstyle": "-|>", "color": "#9aa4ae", "lw": 0.8, "connectionstyle": f"arc3,rad={curve}"}
        axes.annotate("", (x1, y1 + 0.27), (x0, y0 - 0.27), arrowprops={**style, "shrinkA": 0, "shrinkB": 0}, zorder=1)
    for room, (x, y) in places.items():
        files, lines = lines_of(room)
        color = WARM if room in TORCH else COLD
        box = FancyBboxPatch(
            (x - 0.72, y - 0.25),
            1.44,
            0.5,
            boxstyle="round,pad=0,rounding_size=0.08",
            fc=color,
            ec=INK,
            lw=0.8,
            zorder=2,
        )
        axes.add_patch(box)
        axes.text(x, y + 0.08, room, ha="center", va="center", fontsize=11, color=INK, zorder=3)
        axes.text(
            x, y - 0.12, f"{files} files, {lines:,} lines", ha="center", va="center", fontsize=6.5, color=INK, zorder=3
        )
    axes.text(
        0.1, -0.52, "warm: loads torch; cold: never does. An arrow is an import that exists.", fontsize=8, color=INK
    )
    figure.tight_layout()
    figure.savefig(path)
    plt.close(figure)


def table() -> str:
    """Rooms with files and lines, as Markdown."""
    rows = ["| room | files | lines |", "| --- | ---: | ---: |"]
    total = [0, 0]
    for floor in floors():
        for room in floor:
            files, lines = lines_of(room)
            total = [total[0] + files, total[1] + lines]
            rows.append(f"| `{room}` | {files} | {lines:,} |")
    rows.append(f"| all | {total[0]} | {total[1]:,} |")
    return "\n".join(rows)


if __name__ == "__main__":
    draw(ROOT / "docs" / "architecture.png")
    fill(ROOT / "docs" / "architecture.md", "rooms", table())
