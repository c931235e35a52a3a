"""From the records of all rounds to one standing a contestant and model, and what it is measured against."""

import statistics
from dataclasses import dataclass, field

from bounds import decode_bound, first_token_bound
from contest import BATCHES, CONTESTANTS, SHAPES, Contestant

SAME_START = 8  # tokens of the first answer that are compared: rounding turns later ones


@dataclass(frozen=True)
class Standing:
    """Medians over the rounds. tokens_per_cpu_s by batch; memory of the process in MiB, in the end and at its peak."""

    name: str
    model: str
    tokens_per_cpu_s: dict[int, float] = field(default_factory=dict)
    spread: dict[int, tuple[float, float]] = field(default_factory=dict)
    first_token_cpu_s: float = 0.0
    rss_mib: float = 0.0
    peak_mib: float = 0.0
    second_turn: float | None = None
    other_cores: float = 0.0
    version: str = ""
    witness: tuple[int, ...] = ()
    skipped: str = ""

    @property
    def contestant(self) -> Contestant:
        return CONTESTANTS[self.name]


def standings_of(records: list[dict]) -> dict[str, list[Standing]]:
    """By model, in the order of the contest."""
    found: dict[str, list[Standing]] = {}
    for model in SHAPES:
        for name in CONTESTANTS:
            mine = [record for record in records if (record["contestant"], record["model"]) == (name, model)]
            if mine:
                found.setdefault(model, []).append(standing_of(name, model, mine))
    return found


def standing_of(name: str, model: str, records: list[dict]) -> Standing:
    ran = [record for record in records if "skipped" not in record]
    if not ran:
        return Standing(name, model, skipped=records[0]["skipped"])

    def median(key: str) -> float:
        return statistics.median(record.get(key, 0.0) for record in ran)

    rates = {batch: [record["tokens_per_cpu_s"][str(batch)] for record in ran] for batch in BATCHES}
    turns = [r["second_turn_cpu_s"] / r["cold_turn_cpu_s"] for r in ran if "second_turn_cpu_s" in r]
    return Standing(
        name,
        model,
        tokens_per_cpu_s={batch: statistics.median(values) for batch, values in rates.items()},
        spread={batch: (min(values), max(values)) for batch, values in rates.items()},
        first_token_cpu_s=median("first_token_cpu_s"),
        rss_mib=median("rss_mib"),
        peak_mib=median("peak_mib"),
        second_turn=statistics.median(turns) if turns else None,
        other_cores=median("other_cores"),
        version=ran[0]["version"],
        witness=tuple(ran[0]["witness"][:SAME_START]),
    )


def others(own: Standing, standings: list[Standing]) -> list[Standing]:
    """Those of other makers that ran and hold their weights alike."""
    return [
        s
        for s in standings
        if not s.skipped
        and s.contestant.engine != own.contestant.engine
        and s.contestant.is_peer
        and s.contestant.weights == own.contestant.weights
    ]


def rate_ratio(own: Standing, standings: list[Standing], batch: int) -> float | None:
    """Of the best other engine; None where there is none."""
    rates = [other.tokens_per_cpu_s[batch] for other in others(own, standings)]
    return own.tokens_per_cpu_s[batch] / max(rates) if rates else None


def first_token_ratio(own: Standing, standings: list[Standing]) -> float | None:
    """Of the best other engine, below 1 if faster."""
    seconds = [other.first_token_cpu_s for other in others(own, standings)]
    return own.first_token_cpu_s / min(seconds) if seconds else None


def decode_bound_of(own: Standing, machine: dict, batch: int) -> float:
    return decode_bound(machine, SHAPES[own.model], own.contestant.weights, batch)


def first_token_bound_of(own: Standing, machine: dict) -> float:
    return first_token_bound(machine, SHAPES[own.model], own.contestant.weights)


def odd_ones(standings: list[Standing]) -> list[str]:
    """Those in fp32 whose first answer begins otherwise than that of most: they compute something else."""
    exact = [s for s in standings if not s.skipped and s.contestant.weights == "fp32"]
    if not exact:
        return []
    usual = statistics.mode(s.witness for s in exact)
    return [f"{s.name} answers {list(s.witness)}, most {list(usual)}" for s in exact if s.witness != usual]
