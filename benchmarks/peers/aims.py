"""What Kolossos sets out to reach against its peers, each of its rows against rows of its own kind, with a verdict.

A row of the peers is of the same kind if its products are in the same precision ("autocast" multiplies in bf16) and it
is compiled likewise; where no peer can be compiled (experts in fp32), those that are not.
"""

from .standings import Group, Standing

RATIOS = {  # tokens/s of the best peer: (model, precision) -> compiled
    ("dense", "fp32"): 1.0,
    ("dense", "bf16"): 1.0,
    ("moe", "fp32"): 1.15,
    ("moe", "bf16"): 1.5,
}
UNCOMPILED_RATIO = 0.95
BUSY_RATIO = 0.45
PRODUCTS = {"fp32": ("fp32",), "bf16": ("bf16", "autocast")}


def verdicts(groups: dict[Group, list[Standing]]) -> list[str]:
    """A line for each row of Kolossos and each aim that this run can judge."""
    lines = []
    for (model, threads, busy), standings in groups.items():
        place = f"{model}, {threads} thread{'s' if threads > 1 else ''}"
        for own in standings:
            if own.is_peer or own.skipped:
                continue
            where = f"{place}, {own.row.settings}"
            if busy:
                quiet = {s.row: s for s in groups.get((model, threads, False), [])}.get(own.row)
                lines += busy_verdict(where, own, quiet)
            else:
                lines += [*speed_verdict(where, own, standings), *memory_verdict(where, own, standings)]
    return lines


def peers_of(own: Standing, standings: list[Standing]) -> list[Standing]:
    """The peers of the same kind, the fastest first."""
    alike = [s for s in standings if s.is_peer and not s.skipped and s.row.precision in PRODUCTS[own.row.precision]]
    return [s for s in alike if s.row.compile == own.row.compile] or alike


def speed_verdict(where: str, own: Standing, standings: list[Standing]) -> list[str]:
    peers = peers_of(own, standings)
    if not peers:
        return []
    aim = RATIOS[own.row.model, own.row.precision] if own.row.compile else UNCOMPILED_RATIO
    ratio = own.tokens_per_s / peers[0].tokens_per_s
    against = f"{peers[0].row.contestant} {peers[0].row.settings} with {peers[0].tokens_per_s:,.0f}"
    return [f"{mark(ratio >= aim)} {where}: {own.tokens_per_s:,.0f} tokens/s, {ratio:.2f} of {against} (aim {aim})"]


def memory_verdict(where: str, own: Standing, standings: list[Standing]) -> list[str]:
    peers = peers_of(own, standings)
    if not peers:
        return []
    leanest = min(peers, key=lambda s: s.peak_rss_mib)
    against = f"{leanest.row.contestant} {leanest.row.settings} with {leanest.peak_rss_mib:,.0f}"
    reached = own.peak_rss_mib <= leanest.peak_rss_mib
    return [f"{mark(reached)} {where}: peak {own.peak_rss_mib:,.0f} MiB, the leanest peer is {against}"]


def busy_verdict(where: str, own: Standing, quiet: Standing | None) -> list[str]:
    if quiet is None or quiet.skipped:
        return []
    ratio = own.tokens_per_s / quiet.tokens_per_s
    against = f"of its quiet speed with one core taken (aim {BUSY_RATIO})"
    return [f"{mark(ratio >= BUSY_RATIO)} {where}: {ratio:.2f} {against}"]


def mark(reached: bool) -> str:
    return "reached:" if reached else "missed: "
