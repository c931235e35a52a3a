"""From the records of all rounds to one standing a row, the tables of a page, and Kolossos' aims against them."""

import statistics
from dataclasses import dataclass

from .rows import Row


@dataclass(frozen=True)
class Standing:
    """A row's medians over the rounds, at one number of threads."""

    row: Row
    threads: int
    busy: bool
    tokens_per_s: float = 0.0
    slowest_round: float = 0.0
    fastest_round: float = 0.0
    tokens_per_cpu_s: float = 0.0
    peak_rss_mib: float = 0.0
    parameters: int = 0
    mean_loss: float = 0.0
    other_cores: float | None = None
    skipped: str = ""

    @property
    def is_peer(self) -> bool:
        return self.row.contestant != "kolossos"


Group = tuple[str, int, bool]  # model, threads, busy


def standings_of(records: list[dict]) -> dict[Group, list[Standing]]:
    """The standings of each model and number of threads, quiet before busy, the fastest first."""
    rounds: dict[tuple[Row, int, bool], list[dict]] = {}
    for record in records:
        row = Row(**{name: record[name] for name in Row.__dataclass_fields__})
        rounds.setdefault((row, record["threads"], record["busy"]), []).append(record)
    groups: dict[Group, list[Standing]] = {}
    for (row, threads, busy), of_row in rounds.items():
        groups.setdefault((row.model, threads, busy), []).append(standing_of(row, threads, busy, of_row))
    return {group: sorted(groups[group], key=lambda s: -s.tokens_per_s) for group in sorted(groups)}


def standing_of(row: Row, threads: int, busy: bool, records: list[dict]) -> Standing:
    ran = [record for record in records if "skipped" not in record]
    if not ran:
        return Standing(row, threads, busy, skipped=records[0]["skipped"])
    speeds = [record["tokens_per_s"] for record in ran]

    def median(name: str) -> float:
        return statistics.median(record[name] for record in ran)

    return Standing(
        row,
        threads,
        busy,
        tokens_per_s=median("tokens_per_s"),
        slowest_round=min(speeds),
        fastest_round=max(speeds),
        tokens_per_cpu_s=median("tokens_per_cpu_s"),
        peak_rss_mib=median("peak_rss_mib"),
        parameters=ran[0]["parameters"],
        mean_loss=median("mean_loss"),
        other_cores=None if ran[0]["other_cores"] is None else median("other_cores"),
    )


def best_of(standings: list[Standing], contestant: str | None = None) -> Standing | None:
    """The fastest peer, or the fastest row of one contestant; standings are sorted."""
    for standing in standings:
        chosen = standing.is_peer if contestant is None else standing.row.contestant == contestant
        if chosen and not standing.skipped:
            return standing
    return None
