"""A run under random faults of every kind, written down: what each did, and that no bit of the run changed.

    python benchmarks/robustness/chaos.py RUN.toml --run DIR --faults 200      # options are those of `kolossos chaos`
    python benchmarks/robustness/chaos.py --from OUTCOME.json --command "..."  # of a trial whose `--json` was kept

Into benchmarks/results/chaos-DATE.json (survive- for a few faults, hosts- with --hosts); docs/survival.md and
README.md are filled from there.
"""

import json
import shlex
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from machine import describe
from pages import RESULTS

FEW = 10  # faults: as `make survive` does, for README.md

NAMES = {"noticed_s": "noticed", "went_on_s": "went on", "back_s": "all back"}


def main() -> None:
    given = sys.argv[1:]
    if given[:1] == ["--from"]:
        outcome, command = json.loads(Path(given[1]).read_text()), given[3]
    else:
        command = shlex.join(["kolossos", "chaos", *given])
        done = subprocess.run([sys.executable, "-m", "kolossos", "chaos", *given, "--json"], stdout=subprocess.PIPE)
        outcome = json.loads(done.stdout)
    now = datetime.now(UTC)
    kind = "hosts" if "--hosts" in command else "survive" if len(outcome["faults"]) < FEW else "chaos"
    file = RESULTS / f"{kind}-{now:%Y-%m-%d-%H%M}.json"
    file.write_text(
        json.dumps({"command": command, "date": now.isoformat(), "machine": describe(), **outcome}, indent=1) + "\n"
    )
    print(page(json.loads(file.read_text())))


def page(found: dict) -> str:
    """A table by kind of fault, and what became of the run."""
    lines = ["| fault | how many | " + " | ".join(f"{name} (s)" for name in NAMES.values()) + " | steps redone |"]
    lines.append("| --- " * (len(NAMES) + 3) + "|")
    for row in found["by_kind"]:
        times = " | ".join(_times(row[name]) for name in NAMES)
        lines.append(f"| {row['kind']} | {row['faults']} | {times} | {row['steps_redone']['all']} |")
    compared, machine = found["comparison"], found["machine"]
    outcome = (
        f"All {compared['events']} events (losses, gradient norms, validations) and the last weights are those of the "
        "run without faults, to the bit."
        if found["equal"]
        else f"NOT equal: {compared['events_that_differ']} of {compared['events']} events differ."
    )
    unbroken, broken = found["wall_s"]["unbroken"], found["wall_s"]["broken"]
    return "\n".join(
        [
            f"{len(found['faults'])} faults. {outcome} Seconds are the median and the longest, from the fault on.",
            "",
            *lines,
            "",
            f"(`{found['command']}`, {found['date'][:10]}; {machine['cpu']}, {machine['cores']} cores for all "
            f"ranks; {unbroken:,.0f} s without faults, {broken:,.0f} s with them)",
        ]
    )


def _times(found: dict | None) -> str:
    return "-" if found is None else f"{found['median']:.2f}, {found['most']:.2f}"


if __name__ == "__main__":
    main()
