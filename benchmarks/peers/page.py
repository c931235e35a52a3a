"""The standings as tables: for the terminal by rich, for the repository in Markdown."""

from rich.console import Console
from rich.table import Table

from .standings import Group, Standing, best_of

COLUMNS = (
    "contestant",
    "settings",
    "tokens/s",
    "over rounds",
    "of best peer",
    "tokens/CPU s",
    "peak MiB",
    "params M",
    "loss",
    "others' cores",
)


def title_of(group: Group) -> str:
    model, threads, busy = group
    place = f"{model}, {threads} thread{'s' if threads > 1 else ''}"
    return f"{place}, one core taken by another process" if busy else place


def cells_of(standing: Standing, peer: Standing | None) -> list[str]:
    return [
        standing.row.contestant,
        standing.row.settings,
        f"{standing.tokens_per_s:,.0f}",
        f"{standing.slowest_round:,.0f}–{standing.fastest_round:,.0f}",
        f"{standing.tokens_per_s / peer.tokens_per_s:.2f}" if peer else "",
        f"{standing.tokens_per_cpu_s:,.0f}",
        f"{standing.peak_rss_mib:,.0f}",
        f"{standing.parameters / 1e6:.2f}",
        f"{standing.mean_loss:.3f}",
        "" if standing.other_cores is None else f"{standing.other_cores:.1f}",
    ]


def print_tables(groups: dict[Group, list[Standing]], console: Console) -> None:
    for group, standings in groups.items():
        table = Table(title=title_of(group))
        for column in COLUMNS:
            justify = "left" if column in ("contestant", "settings") else "right"
            table.add_column(column, justify=justify, no_wrap=True)
        for standing in ran(standings):
            style = None if standing.is_peer else "bold"
            table.add_row(*cells_of(standing, best_of(standings)), style=style)
        console.print(table)
        for line in skipped_lines(standings):
            console.print(line, highlight=False)


def ran(standings: list[Standing]) -> list[Standing]:
    return [standing for standing in standings if not standing.skipped]


def skipped_lines(standings: list[Standing]) -> list[str]:
    return [f"skipped {s.row.contestant} {s.row.settings}: {s.skipped}" for s in standings if s.skipped]


def markdown(groups: dict[Group, list[Standing]], verdicts: list[str], machine: dict, command: str) -> str:
    lines = ["# Training speed against peers", "", f"`{command}`", "", *machine_lines(machine)]
    for group, standings in groups.items():
        lines += ["", f"## {title_of(group)}", "", markdown_row(COLUMNS), markdown_row(["---"] * len(COLUMNS))]
        lines += [markdown_row(cells_of(standing, best_of(standings))) for standing in ran(standings)]
        lines += [f"\n{line}" for line in skipped_lines(standings)]
    if verdicts:
        lines += ["", "## Aims", "", *(f"- {verdict}" for verdict in verdicts)]
    return "\n".join(lines) + "\n"


def machine_lines(machine: dict) -> list[str]:
    lines = [f"{machine['cpu']}, {machine['cores']} cores, {machine['memory_gib']} GiB, {machine['system']}."]
    for peak in machine["matmul"]:
        fp32, bf16 = (peak[f"{dtype}_matmul_flop_per_s"] / 1e9 for dtype in ("fp32", "bf16"))
        where = f"torch {peak['torch']}, {peak['threads']} thread{'s' if peak['threads'] > 1 else ''}"
        lines += ["", f"{where}: matmul {fp32:.0f} GFLOP/s in fp32, {bf16:.0f} in bf16."]
    return lines


def markdown_row(cells: list[str] | tuple[str, ...]) -> str:
    return f"| {' | '.join(cells)} |"
