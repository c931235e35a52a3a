"""The figures of docs/notes.md on markets, from the results."""

import json
from collections.abc import Callable
from typing import Any

from pages import RESULTS


def _latest(kind: str) -> dict[str, Any]:
    return json.loads(sorted(RESULTS.glob(f"{kind}-2*.json"))[-1].read_text())


def money() -> str:
    """What random asks and kills left."""
    lines = ["| store | processes | asks | killed | events | postings | markets ended | violations |"]
    lines.append("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    for kind in ("sqlite", "postgresql"):
        if not list(RESULTS.glob(f"notes-money-{kind}-2*.json")):
            continue
        row = _latest(f"notes-money-{kind}")
        v = row["verified"]
        cells = (row["processes"], row["asks"], row["kills"], v["events"], v["postings"], v["markets_ended"], 0)
        lines.append(f"| {row['store']} | " + " | ".join(f"{cell:,}" for cell in cells) + " |")
    return "\n".join(lines)


def attacks() -> str:
    """What attackers changed and earned."""
    found = _latest("notes-attacks")
    lines = ["| scenario | decisions changed | mean profit, credits (95 %) |", "| --- | ---: | ---: |"]
    for name, row in found["scenarios"].items():
        low, mean, high = (row[key] / 1e6 for key in ("profit_low", "profit_mean", "profit_high"))
        changed = f"{row['changed']} ({row['changed_share']:.1%})"
        lines.append(f"| {name} | {changed} | {mean:+.2f} ({low:+.2f} to {high:+.2f}) |")
    where = f"{found['notes']} notes, {found['shown_alone']} of them shown without an attacker"
    return "\n".join([*lines, "", f"({where}; a budget of {found['budget'] / 1e6:g} credits a note, ten times b)"])


def forecasts() -> str:
    """Prices beside stored forecasts of others."""
    found = _latest("notes-forecasts")
    lines = [
        "| set, ratings | notes | price: Brier, log loss, calibration | best bot | stored: Brier | less it (95 %) |"
    ]
    lines.append("| --- | ---: | --- | --- | --- | --- |")
    for name, rows in found.items():
        for n, row in rows.items():
            price = row["price"]
            best = min(("pooled", "wide", "two-features"), key=lambda bot: row[bot]["brier"])
            stored = row["stored"].items()
            lines.append(
                f"| {name}, {n} | {row['notes']:,} | {price['brier']:.4f}, {price['log_loss']:.4f}, "
                f"{price['calibration_error']:.3f} | {best} {row[best]['brier']:.4f} | "
                + ("; ".join(f"{kind} {v['brier']:.4f}" for kind, v in stored) or "-")
                + " | "
                + (
                    "; ".join(f"{v['price_less_it_95'][0]:+.4f} to {v['price_less_it_95'][1]:+.4f}" for _, v in stored)
                    or "-"
                )
                + " |"
            )
    return "\n".join(lines)


def market_speed() -> str:
    """Rates in memory and on the disk."""
    found = json.loads((RESULTS / "notes_market_speed.json").read_text())
    memory, disk, replay = found["in_memory_per_s"], found["durable_per_s"], found["replay"]
    cpu = replay["cpu_seconds"]
    playing = cpu["walk"] + cpu["forecast"] + cpu["trade"]
    lines = ["| what | a second |", "| --- | ---: |"]
    lines += [f"| trades in memory, market of {n} outcomes | {rate:,} |" for n, rate in memory.items()]
    lines += [f"| durable trades, SQLite, {n} to a transaction | {rate:,} |" for n, rate in disk.items()]
    lines.append(f"| the disk's own synced writes of 4 KiB | {found['synced_writes_per_s']:,} |")
    tail = (
        f"A replay of {replay['ratings']:,} ratings with forecasts, trades ({replay['trades']:,}) and a price at each: "
        f"{playing:.2f} CPU seconds; learning anew every week beside it {cpu['learn']:.1f}. "
        f"({found['date']}, two shared cores)"
    )
    return "\n".join([*lines, "", tail])


FIGURES: dict[str, Callable[[], str]] = {
    "notes_money": money,
    "notes_attacks": attacks,
    "notes_forecasts": forecasts,
    "notes_market_speed": market_speed,
}
