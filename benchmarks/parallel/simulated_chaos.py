"""Chaos runs predicted by the simulator from one with another rate of faults.

    python benchmarks/parallel/simulated_chaos.py FIRST.json SECOND.json [...] [--steps 400] [--out FILE.json]

The files are what `kolossos chaos RUN.toml --json` printed, of the same run file. The times to notice, to go on and to
be back come from the first; of the others only how often faults struck. Compared is the share of the promised speed:
the wall time of the run without faults over that of the run with them, less what starting takes in both.
"""

import argparse
import json
import subprocess
import sys
from datetime import date
from pathlib import Path
from typing import Any

from kolossos.runs.environment import processor_name

SPEC = "examples/simulate/replicas-under-kills.toml"


def measured(chaos: dict[str, Any], start_s: float) -> float:
    """Goodput of a chaos run: its steps at the speed without faults, over the time that they took."""
    walls = chaos["wall_s"]
    return (walls["unbroken"] - start_s) / (walls["broken"] - start_s)


def predicted(table: Path, chaos: dict[str, Any], start_s: float, options: argparse.Namespace) -> dict[str, Any]:
    """What the simulator says of as many faults in as long a time, with the times of ``table``."""
    walls = chaos["wall_s"]
    settings = {
        "fleet.gpus": options.processes,
        "fleet.gpus_per_node": options.processes // options.replicas,
        "recovery.replicas": options.replicas,
        "failures.table": str(table),
        "failures.job_mtbf_s": (walls["broken"] - start_s) / len(chaos["faults"]),
        "step.time_s": (walls["unbroken"] - start_s) / options.steps,
    }
    kinds = json.dumps(sorted({fault["kind"] for fault in chaos["faults"]}))
    command = [sys.executable, "-m", "kolossos", "simulate", "--json-input", SPEC, "--json"]
    command += ["--set", f"failures.only={kinds}"]
    for key, value in settings.items():
        command += ["--set", f"{key}={value}"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(done.stderr)
    return json.loads(done.stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("first", type=Path)
    parser.add_argument("second", type=Path, nargs="+")
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--replicas", type=int, default=4)
    parser.add_argument("--processes", type=int, default=4)
    parser.add_argument("--start", type=float, default=8.0, help="seconds from the start of the command to step 1")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    found: dict[str, Any] = {"date": str(date.today()), "processor": processor_name(), "runs": []}
    found["table"] = json.loads(options.first.read_text())["by_kind"]
    for path in options.second:
        second = json.loads(path.read_text())
        answer = predicted(options.first, second, options.start, options)
        found["runs"].append(
            {
                "faults": len(second["faults"]),
                "wall_s": second["wall_s"],
                "measured_goodput": measured(second, options.start),
                "predicted_goodput": answer["goodput"]["mean"],
            }
        )
    print(json.dumps(found, indent=1))
    if options.out:
        options.out.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
