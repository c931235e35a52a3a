"""How fast notes are scored: `python benchmarks/notes/speed.py --json`.

The cold fit of the bridging model at 37 thousand, 450 thousand and 4.5 million synthetic ratings (sorted by
note and rater, as the scorer holds them; compiled before the clock starts), one thread, CPU seconds, best of a
few; and the final round as a stream, in updates a second. With `--official FOLDER` (a checkout of the official
repository, and a Python that has torch and pandas) the official fit runs on the same ratings, seed 1, one
thread, and the losses are compared. `--write` keeps the result in benchmarks/results/notes_speed.json.
"""

import argparse
import json
import os
import sys
import time
import types
from datetime import date
from pathlib import Path
from typing import Any

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ[_name] = "1"
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np  # noqa: E402
from machine import describe  # noqa: E402

RESULT = Path(__file__).resolve().parents[1] / "results/notes_speed.json"
SIZES = ((37_000, 900, 650), (450_000, 9_000, 5_000), (4_500_000, 80_000, 45_000))  # ratings, notes, raters
AIMS = {"times_official": 25.0, "stream_updates_per_s": 1e6}


def ratings_of(ratings: int, notes: int, raters: int, seed: int = 1) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Note, rater and answer of distinct pairs in a two-camp world, sorted by note and rater."""
    rng = np.random.default_rng(seed)
    keys = np.zeros(0, np.int64)
    popularity, activity = rng.lognormal(0, 0.9, notes), rng.lognormal(0, 1.0, raters)
    while len(keys) < ratings:
        missing = ratings - len(keys)
        note = rng.choice(notes, missing + 100, p=popularity / popularity.sum()).astype(np.int64)
        rater = rng.choice(raters, missing + 100, p=activity / activity.sum())
        keys = np.unique(np.concatenate([keys, note * raters + rater]))
    keys = np.sort(rng.permutation(keys)[:ratings])
    note, rater = (keys // raters).astype(np.int32), (keys % raters).astype(np.int32)
    factor = np.where(rng.random(raters) < 0.6, rng.normal(-0.45, 0.25, raters), rng.normal(0.6, 0.22, raters))
    raw = 0.31 + rng.normal(0, 0.1, raters)[rater] + rng.normal(0.12, 0.3, notes)[note]
    raw += factor[rater] * rng.normal(0, 0.58, notes)[note] + rng.normal(0, 0.22, ratings)
    return note, rater, np.where(raw >= 0.6, 1.0, np.where(raw >= 0.4, 0.5, 0.0))


def fit_ours(rows: tuple[np.ndarray, ...], sizes: tuple[int, int], repeats: int) -> dict[str, float]:
    from kolossos.notes.score.models.factorisation import fit

    note, rater, answer = rows
    fit(note[:2000], rater[:2000], answer[:2000], sizes)  # compiled before it is timed
    best, fitted = np.inf, None
    for _ in range(repeats):
        start = time.process_time()
        fitted = fit(note, rater, answer, sizes)
        best = min(best, time.process_time() - start)
    assert fitted is not None
    return {"cpu_s": best, "loss": fitted.loss, "sweeps": fitted.sweeps}


def fit_official(folder: Path, rows: tuple[np.ndarray, ...], sizes: tuple[int, int]) -> dict[str, float]:
    """The official cold fit, its experiment logger replaced by an object that does nothing."""
    import logging

    import pandas as pd  # pyright: ignore[reportMissingImports]
    import torch

    logging.disable(logging.CRITICAL)
    torch.set_num_threads(1)
    sys.path.insert(0, str(folder / "scoring/src"))
    silent = types.ModuleType("scoring.matrix_factorization.wandb_utils")
    nothing: Any = types.SimpleNamespace(_enabled=False)
    for name in ("log", "finish", "reinitialize"):
        setattr(nothing, name, lambda *_, **__: None)
    silent.wandb = nothing  # type: ignore[attr-defined]
    sys.modules[silent.__name__] = silent
    from scoring.matrix_factorization.matrix_factorization import MatrixFactorization  # pyright: ignore

    table = pd.DataFrame({"noteId": rows[0], "raterParticipantId": rows[1], "helpfulNum": rows[2]})
    model = MatrixFactorization(seed=1, log=False)
    start = time.process_time()
    model.run_mf(table)
    return {"cpu_s": time.process_time() - start, "loss": float(model.test_errors[-1])}


def stream(rows: tuple[np.ndarray, ...], sizes: tuple[int, int]) -> float:
    """Updates a second, ratings in random order."""
    from kolossos.notes.score.final_round import RaterParameters
    from kolossos.notes.score.streaming import Stream

    rng = np.random.default_rng(2)
    raters = RaterParameters(
        rng.normal(0.1, 0.1, sizes[1]),
        rng.normal(0, 0.5, sizes[1]),
        rng.random(sizes[1]) < 0.8,
        np.zeros(sizes[1]),
        np.zeros(sizes[1]),
        0.14,
        40.0,
    )
    order = rng.permutation(len(rows[0]))
    note, rater, answer = (np.ascontiguousarray(column[order]) for column in rows)
    Stream(raters, sizes[0]).apply(note[:10], rater[:10], answer[:10])
    best = np.inf
    for _ in range(3):
        following = Stream(raters, sizes[0])
        start = time.process_time()
        following.apply(note, rater, answer)
        best = min(best, time.process_time() - start)
    return len(note) / best


def measure(official: Path | None, largest: int) -> dict[str, Any]:
    found: dict[str, Any] = {"date": date.today().isoformat(), "machine": describe(), "aims": AIMS, "fits": []}
    for ratings, notes, raters in SIZES:
        if ratings > largest:
            continue
        rows = ratings_of(ratings, notes, raters)
        one: dict[str, Any] = {"ratings": ratings, "notes": notes, "raters": raters}
        one["kolossos"] = fit_ours(rows, (notes, raters), 3 if ratings < 10**6 else 1)
        if official is not None:
            one["official"] = fit_official(official, rows, (notes, raters))
            one["times_official"] = one["official"]["cpu_s"] / one["kolossos"]["cpu_s"]
        found["fits"].append(one)
        found["stream_updates_per_s"] = max(found.get("stream_updates_per_s", 0.0), stream(rows, (notes, raters)))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--official", type=Path, help="checkout of the official repository")
    parser.add_argument("--largest", type=int, default=5_000_000, help="leave out sizes with more ratings")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    found = measure(arguments.official, arguments.largest)
    text = json.dumps(found, indent=1)
    if arguments.write:
        RESULT.write_text(text + "\n")
    if arguments.json:
        print(text)
        return
    for one in found["fits"]:
        line = f"{one['ratings']:>9,} ratings: {one['kolossos']['cpu_s']:.3f} CPU s, loss {one['kolossos']['loss']:.7f}"
        if "official" in one:
            line += f"; official {one['official']['cpu_s']:.1f} CPU s, loss {one['official']['loss']:.7f}"
            line += f": {one['times_official']:.0f} times"
        print(line)
    print(f"stream: {found['stream_updates_per_s'] / 1e6:.1f} million updates a second")


if __name__ == "__main__":
    main()
