"""How long must the demo's model train to beat gzip and xz on the same held-out bytes?

    python benchmarks/time_to_beat.py --minutes 3 20

Trains examples/demo.toml for each time (a run of its own, with its own learning-rate schedule; one that is finished
already is used), scores the whole validation split, and adds what it found to benchmarks/results/time_to_beat.json.
Needs data/stdlib (`make demo`).
"""

import argparse
import json
import subprocess
import sys
from datetime import date
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks/results/time_to_beat.json"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, nargs="+", default=[3.0, 20.0])
    rows = {row["minutes"]: row for row in json.loads(RESULTS.read_text())} if RESULTS.exists() else {}
    for minutes in parser.parse_args().minutes:
        rows[minutes] = measure(minutes)
        RESULTS.write_text(json.dumps([rows[key] for key in sorted(rows)], indent=1) + "\n")
        print(json.dumps(rows[minutes]))


def measure(minutes: float) -> dict[str, Any]:
    """Train for ``minutes`` and score."""
    folder = ROOT / "runs" / f"demo-{minutes:g}-minutes"
    trained = kolossos("train", "examples/demo.toml", "--run", str(folder), "--minutes", str(minutes), "--json")
    scored = kolossos("eval", str(folder), "--json")
    environment = json.loads((folder / "environment.json").read_text())
    return {
        "date": date.today().isoformat(),
        "minutes": minutes,
        "steps": trained["step"],
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
