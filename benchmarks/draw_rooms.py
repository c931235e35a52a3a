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
from matplotlib.axes import Axes
from matplotlib.patches import FancyBboxPatch
from pages import ROOT, filled

GROUND = {"specs", "stores", "files", "streams", "errors"}
TORCH = {"model", "parallel", "train", "serve", "calibrate", "launch"}
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
        if a != b and graph.direct_import_exists(importer=f"kolossos.{a}", imported=f"kolossos.{b}", as_packages=True)
    }


def shown(pairs: set[tuple[str, str]]) -> set[tuple[str, str]]:
    """Imports among the rooms above the ground, without those that a way through other rooms implies."""
    pairs = {(a, b) for a, b in pairs if b not in GROUND}
    reach: dict[str, set[str]] = {}
    for room in reversed([room for floor in floors() for room in floor]):
        direct = {b for a, b in pairs if a == room}
        reach[room] = direct | {far for near in direct for far in reach[near]}
    return {(a, b) for a, b in pairs if not any(b in reach[c] for x, c in pairs if x == a and c != b)}


def draw(path: Path) -> None:
    """The picture: floors from the command line down to the ground that all stand on."""
    levels = [floor for floor in floors() if not GROUND.issuperset(floor)] + [sorted(GROUND)]
    figure, axes = plt.subplots(figsize=(10, 6), dpi=150, facecolor=PAPER)
    axes.set_axis_off()
    axes.set_xlim(0, 10)
    axes.set_ylim(-0.7, len(levels) - 0.5)
    places: dict[str, tuple[float, float]] = {}
    for number, floor in enumerate(levels):
        for i, room in enumerate(floor):
            places[room] = (10 * (i + 0.5) / len(floor), len(levels) - 1 - number)
    for importer, imported in sorted(shown(imports())):
        (x0, y0), (x1, y1) = places[importer], places[imported]
        curve = 0.0 if y0 - y1 <= 1 else 0.12 * (1 if x0 <= x1 else -1)
        style = {"arrowstyle": "-|>", "color": "#8a949e", "lw": 0.9, "connectionstyle": f"arc3,rad={curve}"}
        axes.annotate("", (x1, y1 + 0.27), (x0, y0 - 0.27), arrowprops={**style, "shrinkA": 0, "shrinkB": 0}, zorder=1)
    for room, (x, y) in places.items():
        draw_room(axes, room, x, y)
    note = "warm: loads torch; cold: never does. An arrow is an import; those that a longer way implies are left out,\n"
    axes.text(
        5, -0.66, note + "and so are those of the lowest row, which all may use.", ha="center", fontsize=8, color=INK
    )
    figure.tight_layout()
    figure.savefig(path)
    plt.close(figure)


def draw_room(axes: Axes, room: str, x: float, y: float) -> None:
    """One box with its name and size."""
    files, lines = lines_of(room)
    color = WARM if room in TORCH else COLD
    shape = "round,pad=0,rounding_size=0.08"
    axes.add_patch(FancyBboxPatch((x - 0.72, y - 0.25), 1.44, 0.5, boxstyle=shape, fc=color, ec=INK, lw=0.8, zorder=2))
    size = f"{files} files, {lines:,} lines" if files > 1 else f"{lines:,} lines"
    axes.text(x, y + 0.08, room, ha="center", va="center", fontsize=11, color=INK, zorder=3)
    axes.text(x, y - 0.13, size, ha="center", va="center", fontsize=6.5, color=INK, zorder=3)


def table() -> str:
    """Rooms with files and lines, as Markdown."""
    rows = ["| room | files | lines |", "| --- | ---: | ---: |"]
    counts = {room: lines_of(room) for floor in floors() for room in floor}
    rows += [f"| `{room}` | {files} | {lines:,} |" for room, (files, lines) in counts.items()]
    rows.append(f"| all | {sum(files for files, _ in counts.values())} | {sum(n for _, n in counts.values()):,} |")
    return "\n".join(rows)


if __name__ == "__main__":
    draw(ROOT / "docs/architecture.png")
    page = ROOT / "docs/architecture.md"
    page.write_text(filled(page.read_text(encoding="utf-8"), {"rooms": table}), encoding="utf-8")
