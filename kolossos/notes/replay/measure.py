"""How good forecasts were: Brier with its parts, log loss, calibration, precision and recall; intervals over posts."""

from typing import Any

import numpy as np

from kolossos.notes.bots.logistic import log_loss

BINS = 10
DRAWS = 400
SEED = 1


def brier_parts(p_E: np.ndarray, y_E: np.ndarray) -> dict[str, float]:
    """Murphy's parts over ten equal bins: Brier = reliability - resolution + uncertainty + what lies within bins.

    Murphy, J. Appl. Meteorol. 12 (1973) 595.
    """
    place = np.clip((p_E * BINS).astype(int), 0, BINS - 1)
    base = y_E.mean()
    reliability = resolution = 0.0
    for i in range(BINS):
        chosen = place == i
        if chosen.any():
            share, hits = chosen.mean(), y_E[chosen].mean()
            reliability += share * (p_E[chosen].mean() - hits) ** 2
            resolution += share * (hits - base) ** 2
    return {"reliability": reliability, "resolution": resolution, "uncertainty": float(base * (1 - base))}


def calibration(p_E: np.ndarray, y_E: np.ndarray) -> list[dict[str, float]]:
    """For each bin that holds anything: mean forecast, share that came true with a 95 % band (Wilson), count."""
    place = np.clip((p_E * BINS).astype(int), 0, BINS - 1)
    rows = []
    for i in range(BINS):
        chosen = place == i
        n = int(chosen.sum())
        if n:
            hits, z = float(y_E[chosen].mean()), 1.96
            middle = (hits + z * z / (2 * n)) / (1 + z * z / n)
            half = z * np.sqrt(hits * (1 - hits) / n + z * z / (4 * n * n)) / (1 + z * z / n)
            rows.append({
                "forecast": float(p_E[chosen].mean()), "came_true": hits, "low": float(middle - half),
                "high": float(middle + half), "notes": n,
            })  # fmt: skip
    return rows


def calibration_error(p_E: np.ndarray, y_E: np.ndarray) -> float:
    """Mean over forecasts of |mean forecast - share that came true| of their bin."""
    rows = calibration(p_E, y_E)
    return sum(r["notes"] * abs(r["forecast"] - r["came_true"]) for r in rows) / len(p_E)


def precision_at_recall(p_E: np.ndarray, y_E: np.ndarray, recall: float) -> float:
    """The best precision of any threshold that finds at least ``recall`` of what came true; NaN if nothing did."""
    if not y_E.any():
        return float("nan")
    order = np.argsort(-p_E, kind="stable")
    found = np.cumsum(y_E[order])
    ends = np.append(np.diff(p_E[order]) != 0, True)  # equal forecasts are taken together
    precision, recalls = found / np.arange(1, len(found) + 1), found / y_E.sum()
    return float(precision[ends & (recalls >= recall)].max())


def average_precision(p_E: np.ndarray, y_E: np.ndarray) -> float:
    """Average precision: the area under precision over recall, by steps."""
    if not y_E.any():
        return float("nan")
    order = np.argsort(-p_E, kind="stable")
    found = np.cumsum(y_E[order])
    return float((found / np.arange(1, len(found) + 1) * y_E[order]).sum() / y_E.sum())


def scores(p_E: np.ndarray, y_E: np.ndarray) -> dict[str, float]:
    """The figures of one forecaster on one set of notes."""
    return {
        "brier": float(((p_E - y_E) ** 2).mean()),
        "log_loss": float(log_loss(p_E, y_E).mean()),
        "calibration_error": calibration_error(p_E, y_E),
        "average_precision": average_precision(p_E, y_E),
        "precision_at_half_recall": precision_at_recall(p_E, y_E, 0.5),
        **brier_parts(p_E, y_E),
    }


def post_draws(post_E: np.ndarray, draws: int = DRAWS, seed: int = SEED) -> np.ndarray:
    """Weights of a bootstrap over posts: each row draws as many posts as there are; shape draws x E."""
    posts, place = np.unique(post_E, return_inverse=True)
    counts = np.random.default_rng(seed).multinomial(len(posts), np.full(len(posts), 1 / len(posts)), draws)
    return counts[:, place]


def interval(values_E: np.ndarray, weights: np.ndarray) -> tuple[float, float]:
    """The 2.5th and 97.5th percentile of the weighted mean over bootstrap draws."""
    totals = weights.sum(1)
    means = (weights @ values_E)[totals > 0] / totals[totals > 0]
    low, high = np.percentile(means, [2.5, 97.5])
    return float(low), float(high)


def compare(forecasts: dict[str, np.ndarray], y_E: np.ndarray, post_E: np.ndarray, against: str) -> dict[str, Any]:
    """Each forecaster's figures with intervals, and the interval of its Brier score less that of ``against``."""
    weights = post_draws(post_E)
    table = {}
    for name, p in forecasts.items():
        squares, other = (p - y_E) ** 2, (forecasts[against] - y_E) ** 2
        table[name] = {
            **scores(p, y_E),
            "brier_95": interval(squares, weights),
            "log_loss_95": interval(log_loss(p, y_E), weights),
            f"brier_less_{against}_95": interval(squares - other, weights),
        }
    return {"notes": len(y_E), "base_rate": float(y_E.mean()), "forecasters": table}
