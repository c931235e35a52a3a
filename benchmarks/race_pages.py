"""Figures of docs/race.md and of the README's example of a claim.

python benchmarks/race_pages.py    # runs the commands that are shown and keeps what they print. Then: fill_pages.py
"""

import json
import subprocess
import sys
from typing import Any

from pages import RESULTS, ROOT

PLAN = ["--claim", "xAI > 50M", "--by", "2030"]
CLAIMS = (PLAN, ["--claim", "xAI > all others", "--by", "2030"], ["--claim", "Google > every other", "--by", "2030"])
FILE = RESULTS / "race.json"


def _kept() -> dict[str, Any]:
    return json.loads(FILE.read_text())


def backtest_table() -> str:
    lines = ["| test | outcomes | inside the 90 % band | medians too low / too high | typical median off |"]
    lines.append("| --- | ---: | ---: | ---: | ---: |")
    for name, row in _kept()["backtest"].items():
        share = f"{row['covered']} ({row['covered'] / row['comparisons']:.0%})".replace("%", " %")
        off = "-" if row["median_factor_off"] is None else f"x{row['median_factor_off']:.2f}"
        sides = f"{row['medians_too_low']} / {row['medians_too_high']}"
        lines.append(f"| {name} | {row['comparisons']} | {share} | {sides} | {off} |")
    return "\n".join(lines)


def world() -> str:
    lines = ["| end of | million H100 equivalents of all owners: median (5-95 %) | GW |", "| --- | ---: | ---: |"]
    for row in _kept()["world"]:
        low, median, high = (row["h100_equivalents"][p] / 1e6 for p in ("p5", "p50", "p95"))
        gw = row["power_mw"]["p50"] / 1e3
        lines.append(f"| {row['year']} | {median:,.0f} ({low:,.0f}-{high:,.0f}) | {gw:,.0f} |")
    return "\n".join(lines)


def claims(which: tuple[int, ...]) -> str:
    kept = _kept()["claims"]
    said = [f"$ {kept[i]['command']}\n{kept[i]['printed']}" for i in which]
    return "```\n" + "\n\n".join(said) + "\n```"


FIGURES = {
    "race_backtest": backtest_table,
    "race_world": world,
    "race_plan": lambda: claims((0,)),
    "race_claims": lambda: claims((1, 2)),
}


def _printed(*arguments: str) -> str:
    command = [sys.executable, "-m", "kolossos", "race", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return "\n".join(line.rstrip() for line in done.stdout.strip().splitlines())


def main() -> None:
    whole = json.loads(_printed("--json"))
    kept = {"backtest": whole["backtest"]["summary"], "world": whole["world"], "claims": []}
    for claim in CLAIMS:
        command = "kolossos race " + " ".join(f'"{word}"' if " " in word else word for word in claim)
        kept["claims"].append({"command": command, "printed": _printed(*claim)})
    FILE.write_text(json.dumps(kept, indent=1) + "\n")


if __name__ == "__main__":
    main()
