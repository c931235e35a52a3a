"""Fit the kernel time model of `kolossos.plan.kernels` to measured kernels, and say how well it does on the rest.

    python benchmarks/fit_kernels.py --gemm gemm.parquet [--attention attention_forward.parquet] [--json]

The tables are best latencies over serving stacks (columns gpu, dtype, m, n, k, latency_ms; and gpu, attn_dtype,
batch_size, isl, num_heads, num_key_value_heads, head_dim, latency_ms). A seeded random half of the rows is fitted,
errors are those of the other half. Coefficients are written to `kolossos/plan/kernels/coefficients/`, one file a card;
`--sample` also writes the held-out rows that `tests/plan/test_kernels.py` reads.

The fit is Levenberg-Marquardt on log coefficients, for log seconds, reweighted towards the mean absolute error.
"""

import argparse
import json
import tomllib
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import tomli_w
from fitting.attention_kernels import SIZES, attention_rows, fit_attention, trusted
from numpy.typing import NDArray

from kolossos.plan.kernels.cards import FOLDER, card
from kolossos.plan.kernels.matmul import product_seconds

Floats = NDArray[np.float64]
SOURCE = (
    "ai-dynamo/aiconfigurator@095f58a, Apache-2.0: best latency over its serving stacks; kernels alone, boost clock"
)
CATALOGUE_NAMES = {"a100-80g-sxm": "a100-80g", "h100-80g-sxm": "h100"}
PRECISIONS = {"bfloat16": "bf16"}
SMALLEST_FLOPS = 1e9  # smaller products are launch latency and noise; they are reported, not fitted
MOST_FITTED_ROWS = 5000
PULL = 3e-4  # cost of a coefficient being e times its usual value: as much as 0.015 % of error
# Usual, least and most value of each coefficient; what they mean is in kolossos/plan/kernels/matmul.py.
MATMUL: dict[str, tuple[float, float, float]] = {
    "mma_efficiency": (0.85, 0.3, 1.0),
    "l2_bandwidth": (4.0, 0.5, 30.0),
    "hbm_efficiency": (0.75, 0.3, 1.0),
    "overlap": (3.0, 1.0, 8.0),
    "tail": (0.5, 0.02, 1.0),
    "tile_seconds": (5e-7, 2e-8, 1e-5),
    "split_tiles": (2.0, 0.01, 300.0),
    "launch_seconds": (3e-6, 1e-6, 3e-5),
    "throttle": (0.1, 1e-3, 1.0),
    "throttle_flops": (3e12, 1e10, 1e15),
    "unaligned": (1.03, 1.0, 1.3),
    "quantize_efficiency": (0.6, 0.1, 1.0),
}
SIZE_CLASSES = {"<1e9": (0, 1e9), "1e9-1e10": (1e9, 1e10), "1e10-1e11": (1e10, 1e11), "1e11-1e12": (1e11, 1e12)} | {
    ">=1e12": (1e12, np.inf)
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gemm", type=Path, help="parquet of measured products")
    parser.add_argument("--attention", type=Path, help="parquet of measured forward attention")
    parser.add_argument("--sample", type=Path, help="write held-out rows for the test to this folder")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    args = parser.parse_args()
    errors: dict[str, Any] = {}
    if args.gemm:
        products = gemm_rows(args.gemm)
        fits = {key: fit_products(*key, rows) for key, rows in products.items()}
        errors["matmul"] = report(products, fits)
        for (gpu, precision), coefficients in fits.items():
            write(gpu, "matmul", precision, coefficients, errors["matmul"][gpu][precision]["all"])
        if args.sample:
            write_sample(products, ("m", "n", "k"), args.sample / "gemm_held_out.csv", rows_each=80)
    if args.attention:
        rows = attention_rows(args.attention, CATALOGUE_NAMES, PRECISIONS)
        attention = fit_attention(rows, fit)
        errors["attention"] = {gpu: {p: f["error"] for p, f in table.items()} for gpu, table in attention.items()}
        for gpu, table in attention.items():
            for precision, f in table.items():
                write(gpu, "attention", precision, f["coefficients"], f["error"], f["note"])
        if args.sample:
            kept = {key: trusted(*key, rows)[0] for key in rows if key[0] != "b200"}
            write_sample(kept, SIZES, args.sample / "attention_held_out.csv", rows_each=40)
    print(json.dumps(errors, indent=1) if args.json else table_of(errors))


def gemm_rows(path: Path) -> dict[tuple[str, str], dict[str, Floats]]:
    """Rows by card and precision: m, n, k, seconds, and `held_out` (a random half)."""
    table = pq.read_table(path)
    gpu, dtype = (np.array(table[name].to_pylist(), dtype=str) for name in ("gpu", "dtype"))
    columns = {name: table[name].to_numpy().astype(np.float64) for name in ("m", "n", "k")}
    columns["seconds"] = table["latency_ms"].to_numpy() * 1e-3
    columns["held_out"] = np.random.default_rng(0).random(len(gpu)) < 0.5
    kinds: list[tuple[str, str]] = sorted(set(zip(gpu.tolist(), dtype.tolist(), strict=True)))
    return {
        (CATALOGUE_NAMES.get(g, g), PRECISIONS.get(d, d)): {
            name: column[(gpu == g) & (dtype == d)] for name, column in columns.items()
        }
        for g, d in kinds
    }


def seconds_of(gpu: str, precision: str, c: dict[str, float], rows: dict[str, Floats]) -> Floats:
    ones = np.ones_like(rows["m"])
    sizes = (rows["m"], rows["n"], rows["k"], ones)
    return product_seconds(card(gpu), c, precision, *sizes, quantize=precision != "bf16")


def fit_products(gpu: str, precision: str, rows: dict[str, Floats]) -> dict[str, float]:
    """Coefficients from the rows that are not held out, the better of two starts."""
    names = [name for name in MATMUL if name != "quantize_efficiency" or precision != "bf16"]
    chosen = np.flatnonzero((rows["held_out"] == 0) & (flops(rows) >= SMALLEST_FLOPS))
    chosen = np.random.default_rng(1).permutation(chosen)[:MOST_FITTED_ROWS]
    fitted = {name: column[chosen] for name, column in rows.items()}
    bounds = np.array([MATMUL[name] for name in names]).T
    quick = np.where(np.isin(names, ["tile_seconds", "split_tiles"]), 0.3, 1.0)

    def model(x: Floats) -> Floats:
        return seconds_of(gpu, precision, dict(zip(names, x.tolist(), strict=True)), fitted)

    fits = [fit(model, bounds[0] * scale, bounds, fitted["seconds"]) for scale in (1.0, quick)]
    best = min(fits, key=lambda pair: pair[1])[0]
    return dict(zip(names, best.tolist(), strict=True))


def fit(
    model: Callable[[Floats], Floats], start: Floats, bounds: NDArray[np.float64], measured: Floats, steps: int = 40
) -> tuple[Floats, float]:
    """Coefficients that bring `model` near `measured`, and their cost: mean absolute log error and PULL.

    bounds: rows usual, least and most value of each coefficient. PULL draws what the data leave open to the usual.
    """
    usual, low, high = np.log(bounds)

    def residual(z: Floats) -> Floats:
        return np.log(model(np.exp(z)) / measured)

    def cost(r: Floats, z: Floats) -> float:
        return float(np.abs(r).mean() + PULL / 2 * np.square(z - usual).sum())

    z, damping = np.log(start), 1e-2
    r = residual(z)
    for _ in range(steps):
        before = cost(r, z)
        slope = np.stack([(residual(z + 0.02 * e) - r) / 0.02 for e in np.eye(len(z))], axis=1)
        weighted = slope / np.maximum(np.abs(r), 0.02)[:, None]  # makes squares of errors count as absolute errors
        normal = slope.T @ weighted + PULL * len(r) * np.eye(len(z))
        gradient = weighted.T @ r + PULL * len(r) * (z - usual)
        for _ in range(6):
            step = -np.linalg.solve(normal + damping * np.diag(np.diag(normal)), gradient)
            tried = np.clip(z + np.clip(step, -0.5, 0.5), low, high)
            new = residual(tried)
            if cost(new, tried) < before:
                z, r, damping = tried, new, max(damping / 5, 1e-6)
                break
            damping *= 4
        if before - cost(r, z) < 1e-5:
            break
    return np.exp(z), cost(r, z)


def flops(rows: dict[str, Floats]) -> Floats:
    return 2.0 * rows["m"] * rows["n"] * rows["k"]


def report(products: dict[tuple[str, str], dict[str, Floats]], fits: dict[tuple[str, str], dict[str, float]]) -> dict:
    """Held-out errors by card, precision and size class in FLOPs; "all" is every product of 1 GFLOP and more."""
    result: dict[str, Any] = {}
    everything = []
    for key, rows in products.items():
        held_out = {name: column[rows["held_out"] == 1] for name, column in rows.items()}
        error = np.abs(seconds_of(*key, fits[key], held_out) / held_out["seconds"] - 1)
        size = flops(held_out)
        everything.append(error[size >= SMALLEST_FLOPS])
        table = {"all": summary(everything[-1])}
        table |= {name: summary(error[(size >= a) & (size < b)]) for name, (a, b) in SIZE_CLASSES.items()}
        result.setdefault(key[0], {})[key[1]] = table
    result["all"] = {"all": {"all": summary(np.concatenate(everything))}}
    return result


def summary(error: Floats) -> dict[str, float]:
    """Rows, mean, median and 90th percentile of relative errors."""
    figures = {"mean": error.mean(), "median": np.median(error), "p90": np.quantile(error, 0.9)}
    return {"rows": error.size} | {name: round(float(value), 4) for name, value in figures.items()}


def write(
    gpu: str, kernel: str, precision: str, coefficients: dict[str, float], error: dict[str, float], note: str = ""
) -> None:
    """Replace one table of the card's coefficient file."""
    path = FOLDER / f"{gpu}.toml"
    content = tomllib.loads(path.read_text()) if path.is_file() else {}
    rounded = {name: float(f"{value:.4g}") for name, value in coefficients.items()}
    entry: dict[str, Any] = {"note": note} if note else {}
    entry |= {"coefficients": rounded, "held_out_error": error}
    tables = {name: content.get(name, {}) for name in ("matmul", "attention")}
    tables[kernel] = tables[kernel] | {precision: entry}
    head = {"source": SOURCE, "fitted": date.today().isoformat(), "made_by": "python benchmarks/fit_kernels.py"}
    path.write_text(tomli_w.dumps(head | {name: table for name, table in tables.items() if table}))


def write_sample(
    tables: dict[tuple[str, str], dict[str, Floats]], sizes: tuple[str, ...], path: Path, rows_each: int
) -> None:
    """Held-out rows as CSV, as many of each card and precision; of products those of SMALLEST_FLOPS and more."""
    generator = np.random.default_rng(2)
    lines = [f"# Held-out rows of {SOURCE}", ",".join(("gpu", "precision", *sizes, "seconds"))]
    for key, rows in tables.items():
        eligible = rows["held_out"] == 1
        if "k" in rows:
            eligible &= flops(rows) >= SMALLEST_FLOPS
        for i in np.sort(generator.choice(np.flatnonzero(eligible), rows_each, replace=False)):
            lines.append(",".join((*key, *(str(int(rows[name][i])) for name in sizes), f"{rows['seconds'][i]:.5g}")))
    path.write_text("\n".join(lines) + "\n")


def table_of(errors: dict[str, Any]) -> str:
    lines = [f"{'kernel':10}{'card':10}{'precision':12}{'FLOPs':11}{'rows':>7}{'mean':>8}{'median':>8}{'p90':>8}"]
    for kernel, cards in errors.items():
        for gpu, precisions in cards.items():
            for precision, classes in precisions.items():
                for name, e in (classes if "all" in classes else {"all": classes}).items():
                    shares = "".join(f"{100 * e[column]:7.2f}%" for column in ("mean", "median", "p90"))
                    lines.append(f"{kernel:10}{gpu:10}{precision:12}{name:11}{e['rows']:7}{shares}")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
