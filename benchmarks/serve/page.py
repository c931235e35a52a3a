"""The standings as tables: for the terminal by rich, for the repository in Markdown."""

from bounds import LARGEST
from contest import BATCHES, SHAPES
from rich.console import Console
from rich.table import Table
from standings import (
    Standing,
    decode_bound_of,
    first_token_bound_of,
    first_token_ratio,
    odd_ones,
    rate_ratio,
)

COLUMNS = (
    "engine",
    *(column for batch in BATCHES for column in (f"batch {batch}", "bound", "of best")),
    "first token s",
    "bound",
    "of best",
    "MiB",
    "peak",
    "2nd turn",
    "others' cores",
)
LEGEND = (
    "batch N: decode tokens per CPU-second on one thread, all N rows running (prompt of 64). bound: what reading "
    "the touched weights once a step and multiplying with them leaves possible on this core (of what fits its "
    "cache, read from there; int8: four products for one of fp32). of best: of the best engine of another maker "
    "with weights held alike. first token: CPU seconds for a prompt of 512. MiB, peak: resident memory of the "
    "process. 2nd turn: first token after 2,000 cached tokens, of the cold time."
)


def title_of(model: str) -> str:
    shape = SHAPES[model]
    return f"{model}: {shape.parameters / 1e6:.1f} M parameters, {shape.active / 1e6:.1f} M of them for a token"


def cells_of(own: Standing, standings: list[Standing], machine: dict) -> list[str]:
    cells = [own.name]
    for batch in BATCHES:
        bound, ratio = decode_bound_of(own, machine, batch), rate_ratio(own, standings, batch)
        cells += [number(own.tokens_per_cpu_s[batch]), number(bound), share(ratio)]
    cells += [f"{own.first_token_cpu_s:.3f}", f"{first_token_bound_of(own, machine):.3f}"]
    cells += [share(first_token_ratio(own, standings)), f"{own.rss_mib:,.0f}", f"{own.peak_mib:,.0f}"]
    turn = "" if own.second_turn is None else f"{own.second_turn:.1%}"
    return [*cells, turn, f"{own.other_cores:.1f}"]


def number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


def share(ratio: float | None) -> str:
    return "" if ratio is None else f"{ratio:.2f}"


def print_tables(found: dict[str, list[Standing]], machine: dict, console: Console) -> None:
    for model, standings in found.items():
        table = Table(title=title_of(model))
        for n, column in enumerate(COLUMNS):
            table.add_column(column, justify="right" if n else "left", no_wrap=True)
        for own in ran(standings):
            table.add_row(*cells_of(own, standings, machine), style=None if own.contestant.is_peer else "bold")
        console.print(table)
        for line in remarks(standings):
            console.print(line, highlight=False)


def ran(standings: list[Standing]) -> list[Standing]:
    return [own for own in standings if not own.skipped]


def remarks(standings: list[Standing]) -> list[str]:
    return [f"skipped {own.name}: {own.skipped}" for own in standings if own.skipped] + odd_ones(standings)


def markdown(found: dict[str, list[Standing]], verdicts: list[str], machine: dict, command: str) -> str:
    lines = ["# Serving speed against other engines", "", f"`{command}`", "", machine_line(machine), "", LEGEND]
    versions = {own.contestant.engine: own.version for standings in found.values() for own in ran(standings)}
    lines += ["", "; ".join(f"{engine}: {version}" for engine, version in versions.items()) + "."]
    for model, standings in found.items():
        lines += ["", f"## {title_of(model)}", "", row(COLUMNS), row(["---"] * len(COLUMNS))]
        lines += [row(cells_of(own, standings, machine)) for own in ran(standings)]
        lines += [f"\n{line}" for line in remarks(standings)]
    if verdicts:
        lines += ["", "## Aims", "", *(f"- {verdict}" for verdict in verdicts)]
    return "\n".join(lines) + "\n"


def machine_line(machine: dict) -> str:
    memory = machine["read_bytes_per_s"][str(LARGEST)] / 1e9
    return (
        f"{machine['cpu']}, {machine['cores']} cores, {machine['memory_gib']} GiB, {machine['system']}. One core reads "
        f"{memory:.1f} GB/s from memory and multiplies {machine['fp32_flop_per_s'] / 1e9:.0f} GFLOP/s in fp32."
    )


def row(cells: list[str] | tuple[str, ...]) -> str:
    return f"| {' | '.join(cells)} |"
