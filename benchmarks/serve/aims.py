"""What Kolossos sets out to reach against the other engines, with a verdict."""

from standings import Standing, first_token_ratio, others, rate_ratio

RATES = {  # of the best other engine with weights held alike: (model, weights) -> batch -> at least
    ("moe300", "fp32"): {1: 1.1, 8: 1.4, 32: 1.4},
    ("moe300", "int8"): {1: 1.2, 8: 1.8, 32: 2.2},
    ("dense", "fp32"): {1: 1.0, 8: 1.0, 32: 1.0},
}
FIRST_TOKEN = {"moe300": 0.8}  # of the best other engine in fp32
MEMORY = {"moe300": 0.75}  # of the leanest engine on PyTorch
ON_TORCH = ("transformers", "vllm")
SECOND_TURN = 0.1  # of the cold time


def verdicts(standings: list[Standing]) -> list[str]:
    lines: list[str] = []
    for own in standings:
        if own.contestant.is_peer or own.skipped:
            continue
        where = f"{own.model}, {own.contestant.setting}"
        for batch, aim in RATES.get((own.model, own.contestant.weights), {}).items():
            ratio = rate_ratio(own, standings, batch)
            if ratio is not None:
                found = (
                    f"{own.tokens_per_cpu_s[batch]:,.0f} tokens/CPU s at batch {batch}, {ratio:.2f} of the best other"
                )
                lines.append(f"{mark(ratio >= aim)} {where}: {found} (aim {aim})")
        lines += [*first_token_verdict(where, own, standings), *memory_verdict(where, own, standings)]
        if own.second_turn is not None:
            found = f"second turn in {own.second_turn:.1%} of the cold time (aim {SECOND_TURN:.0%})"
            lines.append(f"{mark(own.second_turn <= SECOND_TURN)} {where}: {found}")
    return lines


def first_token_verdict(where: str, own: Standing, standings: list[Standing]) -> list[str]:
    ratio = first_token_ratio(own, standings)
    if own.contestant.weights != "fp32" or own.model not in FIRST_TOKEN or ratio is None:
        return []
    aim = FIRST_TOKEN[own.model]
    found = f"first token of 512 after {own.first_token_cpu_s:.2f} CPU s, {ratio:.2f} of the best other"
    return [f"{mark(ratio <= aim)} {where}: {found} (aim {aim})"]


def memory_verdict(where: str, own: Standing, standings: list[Standing]) -> list[str]:
    on_torch = [s for s in others(own, standings) if s.contestant.engine in ON_TORCH]
    if own.contestant.weights != "fp32" or own.model not in MEMORY or not on_torch:
        return []
    leanest, aim = min(on_torch, key=lambda s: s.peak_mib), MEMORY[own.model]
    ratio = own.peak_mib / leanest.peak_mib
    found = f"peak {own.peak_mib:,.0f} MiB, {ratio:.2f} of {leanest.name}"
    return [f"{mark(ratio <= aim)} {where}: {found} (aim {aim})"]


def mark(reached: bool) -> str:
    return "reached:" if reached else "missed: "
