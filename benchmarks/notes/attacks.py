"""Attackers on the markets of a synthetic world: decisions changed, and what they earned.

    python benchmarks/notes/attacks.py [--notes 300] [--keep]

Makes two worlds: bots learn from one and play in the other. See `kolossos.notes.replay.attack` for the scenarios.
"""

import argparse
import json
import sys
import tempfile
from datetime import date
from pathlib import Path

import numpy as np

from kolossos.notes.decide import Policy
from kolossos.notes.replay.attack import attacks
from kolossos.notes.replay.labels import SCORER
from kolossos.notes.replay.run import learn, play
from kolossos.notes.tables.generate import Size, generate_world, write_world


def main() -> None:
    """Print a table, and keep its figures where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--notes", type=int, default=300)
    parser.add_argument("--keep", action="store_true")
    args = parser.parse_args()
    size = Size(notes=1_200, raters=700, ratings=42_000, days=60)
    with tempfile.TemporaryDirectory() as folder:
        worlds = [Path(folder) / name for name in ("learn", "play")]
        for seed, world in enumerate(worlds, 11):
            write_world(generate_world(size, seed), world)
        played = play(worlds[1], SCORER, panel=learn(worlds[0], SCORER))
    rated = np.bincount(played.walk.note_E[played.walk.n_E > 0], minlength=len(played.tested_N))
    tested = np.flatnonzero(played.tested_N & (rated >= 5))
    notes = tested[np.linspace(0, len(tested) - 1, args.notes).astype(int)]
    found = attacks(played, notes, Policy(holdout_ppm=0), lambda what: print(what, file=sys.stderr, flush=True))
    print(f"{found['notes']} notes with five ratings or more, {found['shown_alone']} shown without an attacker")
    print(f"budget of each attacker: {found['budget'] / 1e6:g} credits, ten times the liquidity")
    print("| scenario | decisions changed | mean profit in credits (95 %) |")
    print("| --- | --- | --- |")
    for name, row in found["scenarios"].items():
        low, mean, high = (row[k] / 1e6 for k in ("profit_low", "profit_mean", "profit_high"))
        changed = f"{row['changed']} ({100 * row['changed_share']:.1f} %)"
        print(f"| {name} | {changed} | {mean:+.3f} ({low:+.3f} to {high:+.3f}) |")
    if args.keep:
        path = Path(__file__).resolve().parents[1] / "results" / f"notes-attacks-{date.today()}.json"
        path.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
