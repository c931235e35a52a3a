"""Prices against stored forecasts of others, on the same notes after the same number of ratings.

    python benchmarks/notes/forecasts.py --baselines DIR --sets DIR --pilot DIR [--keep]

``--baselines``: NAME_predictions.parquet with noteId, label and p_* columns; ``--sets``: folders of tables by name, of
which g150a is learnt from; ``--pilot``: notes.parquet and ratings.parquet of 2021. Nothing of these is in this
repository. While the bots were made, g150a and g40a were looked at; g40b and g150b were kept apart until the end.
"""

import argparse
import json
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from kolossos.notes.replay.labels import PILOT, SCORER
from kolossos.notes.replay.measure import interval, post_draws, scores
from kolossos.notes.replay.run import PRICE, Played, learn, play

LEVELS = (0, 1, 2, 3, 5, 8, 10, 15)
SHOWN = ("brier", "log_loss", "calibration_error", "precision_at_half_recall")


def compared(played: Played, stored: pl.DataFrame) -> dict[str, Any]:
    """At each number of ratings: ours, and the stored forecasts where they exist, on the notes that both have."""
    found: dict[str, Any] = {}
    ids = played.world.notes.id_N
    for n in LEVELS:
        events = played.at_ratings(n)
        notes = ids[played.walk.note_E[events]]
        y = played.label_N[played.walk.note_E[events]]
        ours = played.forecasts(events)
        row: dict[str, Any] = {"notes": len(y), "base_rate": float(y.mean())}
        for name in (PRICE, "ensemble", "pooled", "wide", "two-features", "base-rate"):
            row[name] = {k: v for k, v in scores(ours[name], y).items() if k in SHOWN}
        others = {}
        for column in (f"p_n{n}", f"p_logit_n{n}", f"p_pcrh_n{n}"):
            if column in stored.columns:
                known = dict(stored.filter(pl.col(column).is_not_null()).select("noteId", column).iter_rows())
                both = np.array([note in known for note in notes.tolist()])
                theirs = np.array([known[note] for note in notes[both].tolist()])
                squares = (ours[PRICE][both] - y[both]) ** 2 - (theirs - y[both]) ** 2
                draws = post_draws(played.post_N[played.walk.note_E[events]][both])
                others[column.removesuffix(f"_n{n}").removeprefix("p_") or "logit"] = {
                    "notes_of_both": int(both.sum()),
                    "notes_stored": len(known),
                    **{k: v for k, v in scores(theirs, y[both]).items() if k in SHOWN},
                    "price_there": {k: v for k, v in scores(ours[PRICE][both], y[both]).items() if k in SHOWN},
                    "price_less_it_95": interval(squares, draws),
                }
        row["stored"] = others
        found[str(n)] = row
    return found


def show(found: dict[str, Any]) -> None:
    """The comparison as a table."""
    heads = ("set, ratings", "notes", "price: Brier, log loss, calibration", "ensemble", "best of ours", "stored")
    print("| " + " | ".join((*heads, "price less stored (95 %)")) + " |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for name, rows in found.items():
        for n, row in rows.items():
            price, best = row[PRICE], min(("pooled", "wide", "two-features"), key=lambda b: row[b]["brier"])
            stored = row["stored"].items()
            less = [f"{v['price_less_it_95'][0]:+.4f} to {v['price_less_it_95'][1]:+.4f}" for _, v in stored]
            cells = [
                f"{name}, {n}",
                f"{row['notes']:,}",
                f"{price['brier']:.4f}, {price['log_loss']:.4f}, {price['calibration_error']:.3f}",
                f"{row['ensemble']['brier']:.4f}",
                f"{best} {row[best]['brier']:.4f}",
                "; ".join(f"{k} {v['brier']:.4f}" for k, v in stored) or "-",
                "; ".join(less) or "-",
            ]
            print("| " + " | ".join(cells) + " |")


def main() -> None:
    """Print the comparison as Markdown, and keep its figures where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--baselines", type=Path, required=True)
    parser.add_argument("--sets", type=Path, required=True)
    parser.add_argument("--pilot", type=Path)
    parser.add_argument("--keep", action="store_true")
    args = parser.parse_args()
    found: dict[str, Any] = {}
    panel = learn(args.sets / "g150a", SCORER)
    for name in ("g40a", "g40b", "g150b"):
        stored = pl.read_parquet(args.baselines / f"{name}_predictions.parquet")
        known = {note: (float(label), True) for note, label in stored.select("noteId", "label").iter_rows()}
        found[name] = compared(play(args.sets / name, SCORER, panel=panel, known=known), stored)
    if args.pilot:
        stem = args.baselines / "birdwatch2021_shared_strict"
        stored = pl.read_parquet(f"{stem}_predictions.parquet")
        split = pl.read_parquet(f"{stem}_split.parquet")
        known = {note: (float(label), part == "test") for note, part, label in split.iter_rows()}
        found["2021, strict"] = compared(play(args.pilot, PILOT, known=known), stored)
    show(found)
    if args.keep:
        path = Path(__file__).resolve().parents[1] / "results" / f"notes-forecasts-{date.today()}.json"
        path.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
