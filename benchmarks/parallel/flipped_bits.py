"""How many flipped bits of gradients a replay of one step in N finds, and what it costs.

    python benchmarks/parallel/flipped_bits.py RUN.toml FOLDER [--every 1,2,4,8] [--faults 24] [--out FILE.json]

Each line is a `kolossos chaos` of three replicas of one process: bits of any element of a gradient, of its fraction or
the lowest of its exponent, flipped in one of them. Found is one that ended in the replica's leaving. Where none is
missed, losses and weights are those of the run without faults, to the bit.
"""

import argparse
import json
import shutil
from datetime import date
from pathlib import Path
from typing import Any

from kolossos.chaos.command import UNBROKEN, run_chaos
from kolossos.runs.environment import processor_name
from kolossos.runs.goodput import read_goodput
from kolossos.runs.paths import RunPaths

REPLICAS = 3
STEPS_A_FAULT = 90
LAYOUT = (f"layout.dp_replicate={REPLICAS}", "layout.micro_batch_size=1", f"layout.global_batch_size={REPLICAS}")


def tried(run: Path, folder: Path, every: int, faults: int, steps: int, seed: int) -> dict[str, Any]:
    """One run under flipped bits, with one step in ``every`` replayed."""
    shutil.rmtree(folder, ignore_errors=True)
    values = ["survival.replicas=true", *LAYOUT, f"compute.replay_every={every}", f"schedule.steps={steps}"]
    outcome = run_chaos(run, values, folder, faults, 0.2, kinds="flipped", seed=seed, say=print)
    done = [
        fault for fault in outcome.suffered if fault["back_s"] is not None
    ]  # not one that the end of the run cut off
    goodput = read_goodput(RunPaths(folder / UNBROKEN).time)
    assert goodput is not None
    return {
        "every": every,
        "flipped": len(done),
        "found": sum(fault["noticed_s"] is not None for fault in done),
        "equal": outcome.is_equal,
        "cost": goodput.parts["replay"] / (goodput.parts["compute"] + goodput.parts["exposed_communication"]),
    }


def page(found: dict[str, Any]) -> str:
    """The table of the page."""
    lines = ["| one step in | bits flipped | found | expected | losses and weights unharmed | cost |"]
    lines.append("| ---: | ---: | ---: | ---: | --- | ---: |")
    for row in found["rows"]:
        said = "yes" if row["equal"] else "no"
        expected = row["flipped"] * 2 / (row["every"] + 1)  # of so many calculations two are compared
        lines.append(
            f"| {row['every']} | {row['flipped']} | {row['found']} | {expected:.1f} | {said} | {row['cost']:.1%} |"
        )
    told = "expected: 2 in N + 1, for a bit may flip in a replay, too, where it harms nothing; "
    command = "python benchmarks/parallel/flipped_bits.py RUN.toml FOLDER"
    where = f"{found['processor']}, {found['date']}; `{command}`"
    lines.append(f"\n({told}cost: time of replays over that of the steps themselves; {where})")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--every", default="1,2,4,8")
    parser.add_argument("--faults", type=int, default=24)
    parser.add_argument("--steps", type=int, help="of each run; by default enough for all faults")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    steps = options.steps or STEPS_A_FAULT * options.faults
    rows = [
        tried(options.run, options.folder / str(every), every, options.faults, steps, seed=every)
        for every in map(int, options.every.split(","))
    ]
    found = {"date": str(date.today()), "processor": processor_name(), "rows": rows}
    print(json.dumps(found, indent=1))
    if options.out:
        options.out.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
