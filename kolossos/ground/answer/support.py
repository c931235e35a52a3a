"""Whether the sources hold an answer at all: what the best sentence, and the best of each feature, say of it."""

import numpy as np

from kolossos.ground.answer.features import DENSE, LEXICAL

MISSING_LEAD = 3.0  # of a sentence that is the only one


def support_names(dense: bool) -> list[str]:
    """The numbers of `summary`, in order."""
    plain = [*LEXICAL, *(DENSE if dense else ())]
    names = [f"{of}: {name}" for of in ("best", "most") for name in plain]
    return [*names, "score", "share", "lead", "doubt"]


def summary(rows: np.ndarray, scores: np.ndarray, dense: bool) -> np.ndarray:
    """Of features [candidates, features] and their scores: one row of numbers; zeros without candidates."""
    width = len(LEXICAL) + (len(DENSE) if dense else 0)
    if not len(scores):
        return np.zeros(2 * width + 4)
    order = np.argsort(-scores, kind="stable")
    shares = shares_of(scores)
    lead = scores[order[0]] - scores[order[1]] if len(order) > 1 else MISSING_LEAD
    doubt = -float((shares * np.log(shares + 1e-9)).sum())
    last = [scores[order[0]] / 10, shares[order[0]], min(lead, MISSING_LEAD), doubt]
    return np.concatenate([rows[order[0], :width], rows[:, :width].max(0), last])


def shares_of(scores: np.ndarray) -> np.ndarray:
    """The softmax of scores."""
    grown = np.exp(scores - scores.max())
    return grown / grown.sum()
