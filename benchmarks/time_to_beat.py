"""How long must the demo's model train to beat gzip and xz on the same held-out bytes?

    python benchmarks/time_to_beat.py --minutes 3 20    # on a quiet machine
    python benchmarks/time_to_beat.py --steps 780       # elsewhere: so many steps, however long they take

Trains examples/demo.toml for each (a run of its own, with its own learning-rate schedule; one that is finished already
is used), scores the whole validation split, and adds what it found to benchmarks/results/time_to_beat.json, with the
time that the steps took. Needs data/stdlib (`make demo`).
"""

import argparse
import json
import subprocess
import sys
from datetime import date
from pathlib import Path
from typing import Any

from kolossos.runs.events import read_events

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks/results/time_to_beat.json"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, nargs="+", default=[])
    parser.add_argument("--steps", type=int, nargs="+", default=[])
    given = parser.parse_args()
    lengths = [(f"{m:g}-minutes", ("--minutes", str(m))) for m in given.minutes]
    lengths += [(f"{n}-steps", ("--set", f"schedule.steps={n}")) for n in given.steps]
    rows = {row["run"]: row for row in json.loads(RESULTS.read_text())} if RESULTS.exists() else {}
    for name, options in lengths:
        rows[name] = measure(name, options)
        ordered = sorted(rows.values(), key=lambda row: row["steps"])
        RESULTS.write_text(json.dumps(ordered, indent=1) + "\n")
        print(json.dumps(rows[name]))


def measure(name: str, options: tuple[str, ...]) -> dict[str, Any]:
    """Train and score."""
    folder = ROOT / "runs" / f"demo-{name}"
    trained = kolossos("train", "examples/demo.toml", "--run", str(folder), *options, "--json")
    scored = kolossos("eval", str(folder), "--json")
    environment = json.loads((folder / "environment.json").read_text())
    steps = read_events(folder / "metrics.jsonl", "train")
    return {
        "date": date.today().isoformat(),
        "run": name,
        "steps": trained["step"],
        "tokens": int(steps[-1]["tokens"]),
        "training_seconds": sum(step["step_s"] for step in steps),
        "bits_per_byte": trained["bits_per_byte"],
        "compressors_bits_per_byte": scored["compressors_bits_per_byte"],
        "bytes": scored["bytes"],
        "machine": {key: environment[key] for key in ("device", "threads", "torch", "measured_peak_flops")},
    }


def kolossos(*arguments: str) -> dict[str, Any]:
    """Run a command with --json and read what it prints."""
    command = [sys.executable, "-m", "kolossos", *arguments]
    return json.loads(subprocess.run(command, check=True, cwd=ROOT, stdout=subprocess.PIPE).stdout)


if __name__ == "__main__":
    main()
