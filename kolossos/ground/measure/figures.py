"""The figures of a measurement, each from plain arrays."""

from collections.abc import Sequence

import numpy as np

BINS = 10


def ndcg(ranks: Sequence[int], depth: int = 10) -> float:
    """Mean nDCG at ``depth`` where one passage is relevant: 1 / log2(1 + rank); rank 0 is not found."""
    return _mean([1 / np.log2(1 + rank) if 0 < rank <= depth else 0.0 for rank in ranks])


def recall(ranks: Sequence[int], depth: int) -> float:
    """Share of questions whose relevant passage is among the first ``depth``."""
    return _mean([0 < rank <= depth for rank in ranks])


def auroc(there: np.ndarray, away: np.ndarray) -> float:
    """Chance that a score of ``there`` is above one of ``away``, ties half (Mann and Whitney 1947)."""
    if not len(there) or not len(away):
        return float("nan")
    ordered = np.sort(away)
    below, upto = (np.searchsorted(ordered, there, side) for side in ("left", "right"))
    return float((below + upto).mean() / 2 / len(away))


def coverage_curve(there: np.ndarray, away: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(least support, share answered when the answer is there, when it is not), by falling least support."""
    least = np.unique(np.concatenate([there, away, [0.0, 1.0]]))[::-1]
    shares = [1 - np.searchsorted(np.sort(scores), least, "left") / max(1, len(scores)) for scores in (there, away)]
    return least, shares[0], shares[1]


def at_coverage(there: np.ndarray, away: np.ndarray, coverage: float) -> float:
    """Share answered when nothing is there, at the highest least support that answers ``coverage`` when it is."""
    _, answered, wrongly = coverage_curve(there, away)
    return float(wrongly[np.argmax(answered >= coverage)])


def reliability(stated: np.ndarray, true: np.ndarray) -> list[dict[str, float]]:
    """Equal-width bins of a stated probability: how many, what was stated on average, how many were true."""
    which = np.minimum((stated * BINS).astype(int), BINS - 1)
    return [
        {
            "from": b / BINS,
            "count": int((which == b).sum()),
            "stated": float(stated[which == b].mean()),
            "true": float(true[which == b].mean()),
        }
        for b in range(BINS)
        if (which == b).any()
    ]


def calibration_error(stated: np.ndarray, true: np.ndarray) -> float:
    """Expected calibration error over those bins (Naeini, Cooper, Hauskrecht 2015)."""
    bins = reliability(stated, true)
    return sum(b["count"] * abs(b["stated"] - b["true"]) for b in bins) / max(1, len(stated))


def macro_f1(true: Sequence[str], said: Sequence[str], labels: Sequence[str]) -> tuple[float, dict[str, float]]:
    """Mean of the labels' F1, and each."""
    each = {}
    for label in labels:
        both = sum(t == s == label for t, s in zip(true, said, strict=True))
        each[label] = 2 * both / max(1, sum(t == label for t in true) + sum(s == label for s in said))
    return _mean(list(each.values())), each


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if len(values) else float("nan")
