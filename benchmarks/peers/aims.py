"""What Kolossos sets out to reach against its peers, each aim with its verdict in this run."""

from .standings import Group, Standing, best_of

MOE_TOKENS_PER_S = 4000
MOE_RATIO = 1.5
DENSE_RATIO = 0.98
BUSY_RATIO = 0.45


def verdicts(groups: dict[Group, list[Standing]]) -> list[str]:
    """A line for each aim that this run can judge."""
    lines = []
    for (model, threads, busy), standings in groups.items():
        own = best_of(standings, "kolossos")
        if own is None:
            continue
        place = f"{model}, {threads} thread{'s' if threads > 1 else ''}"
        if busy:
            quiet = {s.row: s for s in groups.get((model, threads, False), [])}.get(own.row)
            lines += busy_verdict(place, own, quiet)
        else:
            lines += speed_verdict(place, own, standings)
            lines += memory_verdict(place, own, standings)
    return lines


def speed_verdict(place: str, own: Standing, standings: list[Standing]) -> list[str]:
    if own.row.model == "dense":
        plain = best_of(standings, "plain")
        if plain is None:
            return []
        ratio = own.tokens_per_s / plain.tokens_per_s
        return [f"{mark(ratio >= DENSE_RATIO)} {place}: {ratio:.2f} of the best plain loop (aim {DENSE_RATIO})"]
    peer = best_of(standings)
    ratio = own.tokens_per_s / peer.tokens_per_s if peer else 0.0
    reached = own.tokens_per_s >= MOE_TOKENS_PER_S or ratio >= MOE_RATIO
    aim = f"aim {MOE_TOKENS_PER_S:,} or {MOE_RATIO}"
    return [f"{mark(reached)} {place}: {own.tokens_per_s:,.0f} tokens/s, {ratio:.2f} of the best peer ({aim})"]


def memory_verdict(place: str, own: Standing, standings: list[Standing]) -> list[str]:
    peers = [s for s in standings if s.is_peer and not s.skipped]
    if not peers:
        return []
    leanest = min(peers, key=lambda s: s.peak_rss_mib)
    against = f"{leanest.row.contestant} {leanest.row.settings} with {leanest.peak_rss_mib:,.0f}"
    reached = own.peak_rss_mib <= leanest.peak_rss_mib
    return [f"{mark(reached)} {place}: peak {own.peak_rss_mib:,.0f} MiB, the leanest peer is {against}"]


def busy_verdict(place: str, own: Standing, quiet: Standing | None) -> list[str]:
    if quiet is None or quiet.skipped:
        return []
    ratio = own.tokens_per_s / quiet.tokens_per_s
    against = f"of its quiet speed with one core taken (aim {BUSY_RATIO})"
    return [f"{mark(ratio >= BUSY_RATIO)} {place}: {ratio:.2f} {against}"]


def mark(reached: bool) -> str:
    return "reached:" if reached else "missed: "
