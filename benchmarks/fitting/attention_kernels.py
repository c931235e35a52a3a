"""The attention half of `fit_kernels.py`: which rows can be trusted, and the fit to them.

The measured table holds the best latency over serving stacks and, unsaid, over their sliding windows: for some cards
and head dimensions it grows linearly with the sequence and would be many times the peak as full causal attention.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from kolossos.plan.kernels.attention import EFFICIENCY, TILE, forward_seconds
from kolossos.plan.kernels.cards import card, kernel_facts, peak

Floats = NDArray[np.float64]
Rows = dict[str, Floats]
SIZES = ("batch_size", "isl", "num_heads", "num_key_value_heads", "head_dim")
SHORTEST = 1024  # training sequences
MOST_OF_PEAK = 0.9  # the best published kernel reaches 0.85 (FlashAttention-3, H100, bf16)
TWIN_SPEED = 1.3  # an H200 has the cores of an H100: a row faster by more did less work
# Usual, least and most value; what they mean is in kolossos/plan/kernels/attention.py.
ATTENTION: dict[str, tuple[float, float, float]] = {
    "tile_seconds": (1e-6, 1e-8, 2e-5),
    "launch_seconds": (1e-5, 2e-6, 3e-5),
    "tail": (0.5, 0.02, 1.0),
    "exposed": (1.0, 1e-3, 8.0),
}
ATTENTION_EFFICIENCY = (0.7, 0.1, 1.0)
BACKWARD = "backward_rate"
Fit = Callable[..., tuple[Floats, float]]


def attention_rows(path: Path, cards: dict[str, str], precisions: dict[str, str]) -> dict[tuple[str, str], Rows]:
    """Rows of SHORTEST and longer that fill the card, by card and precision; `held_out` marks a random half."""
    table = pq.read_table(path)
    gpu, dtype = (np.array(table[name].to_pylist(), dtype=str) for name in ("gpu", "attn_dtype"))
    columns = {name: table[name].to_numpy().astype(np.float64) for name in SIZES}
    columns["seconds"] = table["latency_ms"].to_numpy() * 1e-3
    columns["held_out"] = np.random.default_rng(0).random(len(gpu)) < 0.5
    sms = np.array([card(cards.get(g, g)).n_sms for g in gpu.tolist()])
    tiles = columns["batch_size"] * columns["num_heads"] * np.ceil(columns["isl"] / TILE)
    long = (columns["isl"] >= SHORTEST) & (columns["head_dim"] <= 256) & (tiles >= sms)
    kinds: list[tuple[str, str]] = sorted(set(zip(gpu.tolist(), dtype.tolist(), strict=True)))
    return {
        (cards.get(g, g), precisions.get(d, d)): {
            name: column[long & (gpu == g) & (dtype == d)] for name, column in columns.items()
        }
        for g, d in kinds
    }


def fit_attention(table: dict[tuple[str, str], Rows], fit: Fit) -> dict[str, dict[str, Any]]:
    """Coefficients, held-out error and a note by card and precision."""
    fits: dict[str, dict[str, Any]] = {}
    order = ["h100", "h200", "a100-80g", "gb200", "gb300", "b300"]  # later cards may borrow from earlier ones
    for gpu in order:
        for precision in ("bf16", "fp8"):
            if (gpu, precision) not in table:
                continue
            rows, dropped = trusted(gpu, precision, table)
            fixed: dict[str, float] = {}
            borrowed = ""
            if gpu in ("b300", "gb300") and EFFICIENCY + "128" not in efficiencies(rows):
                fixed = {c: value for c, value in fits["gb200"][precision]["coefficients"].items() if c != BACKWARD}
                fixed = {c: value for c, value in fixed.items() if c not in efficiencies(rows)}
                borrowed = "; all else from the GB200"
            note = f"fitted to head_dim {sorted({int(d) for d in rows['head_dim']})}{dropped}{borrowed}"
            fits.setdefault(gpu, {})[precision] = fit_one(gpu, precision, rows, fixed, note, fit)
    for precision, one in fits["gb200"].items():
        note = f"the GB200's: every row of this card is mixed with sliding windows. GB200: {one['note']}"
        fits.setdefault("b200", {})[precision] = one | {"note": note}
    return fits


def trusted(gpu: str, precision: str, table: dict[tuple[str, str], Rows]) -> tuple[Rows, str]:
    """The rows that can be full causal attention, and a clause on what was dropped.

    Dropped: rows over MOST_OF_PEAK; whole head dimensions where more than 1 % of rows are, or that no measured software
    had a good kernel for (192 on Blackwell); on the H200 rows faster than the H100's by more than TWIN_SPEED.
    """
    rows = table[gpu, precision]
    share = causal_flops(rows) / rows["seconds"] / peak(card(gpu), precision)
    keep = share <= MOST_OF_PEAK
    if gpu == "h200":
        twin = table["h100", precision]
        seconds = dict(zip(map(tuple, np.stack([twin[s] for s in SIZES], 1)), twin["seconds"], strict=True))
        shapes = map(tuple, np.stack([rows[s] for s in SIZES], 1))
        keep &= rows["seconds"] * TWIN_SPEED > [seconds.get(shape, np.inf) for shape in shapes]
    for head_dim in np.unique(rows["head_dim"]):
        same = rows["head_dim"] == head_dim
        untuned = head_dim in kernel_facts(card(gpu)).untuned_head_dims
        if gpu != "h200" and ((share[same] > MOST_OF_PEAK).mean() > 0.01 or untuned):
            keep &= ~same
    dropped = f"; {(~keep).sum()} of {keep.size} rows dropped as no plain causal attention" if (~keep).any() else ""
    return {name: column[keep] for name, column in rows.items()}, dropped


def efficiencies(rows: Rows) -> list[str]:
    """The names of the coefficients of the head dimensions in `rows`."""
    return [f"{EFFICIENCY}{int(d)}" for d in np.unique(rows["head_dim"])]


def causal_flops(rows: Rows) -> Floats:
    return 2.0 * rows["batch_size"] * rows["num_heads"] * rows["isl"] ** 2 * rows["head_dim"]


def fit_one(gpu: str, precision: str, rows: Rows, fixed: dict[str, float], note: str, fit: Fit) -> dict[str, Any]:
    """One card and precision; `fixed` coefficients are not fitted."""
    bounds = {name: ATTENTION_EFFICIENCY for name in efficiencies(rows)} | ATTENTION
    bounds = {name: bound for name, bound in bounds.items() if name not in fixed}
    limits = np.array(list(bounds.values())).T
    halves = [{name: column[rows["held_out"] == held] for name, column in rows.items()} for held in (0, 1)]

    def seconds(c: dict[str, float], part: Rows) -> Floats:
        batch, length, heads, kv_heads, head_dim = (part[name] for name in SIZES)
        return forward_seconds(card(gpu), c, precision, batch, length, length, heads, kv_heads, head_dim)

    def model(x: Floats) -> Floats:
        return seconds(fixed | dict(zip(bounds, x.tolist(), strict=True)), halves[0])

    x, _ = fit(model, limits[0], limits, halves[0]["seconds"])
    coefficients = fixed | dict(zip(bounds, x.tolist(), strict=True))
    error = np.abs(seconds(coefficients, halves[1]) / halves[1]["seconds"] - 1)
    facts = kernel_facts(card(gpu))  # backward's rate over that of forward, both counted in their own FLOPs
    figures = {"mean": error.mean(), "median": np.median(error), "p90": np.quantile(error, 0.9)}
    return {
        "coefficients": coefficients | {BACKWARD: facts.backward_rate},
        "error": {"rows": error.size} | {name: round(float(value), 4) for name, value in figures.items()},
        "note": f"{note}. backward_rate: {facts.backward_rate_source}",
    }
