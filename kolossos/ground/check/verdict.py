"""From a claim and what was found to one of three words, with a probability of each."""

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from kolossos.ground.check.pairs import names_of

VERDICTS = ("supported", "contradicted", "not found")
FILE = Path(__file__).parent / "weights.toml"
CLOSEST = 5  # sentences whose mean counts


@dataclass(frozen=True)
class Softmax:
    """A linear score for each verdict: weights [features, verdicts], constants [verdicts]."""

    names: tuple[str, ...]
    weights: np.ndarray
    constants: np.ndarray

    def of(self, rows: np.ndarray) -> np.ndarray:
        """Probabilities [..., verdicts]."""
        scores = rows @ self.weights + self.constants
        grown = np.exp(scores - scores.max(-1, keepdims=True))
        return grown / grown.sum(-1, keepdims=True)


@dataclass(frozen=True)
class ClaimWeights:
    """pair: of one sentence beside the claim. claim: of all of them together. encoder: identity of the vectors'."""

    pair: Softmax
    claim: Softmax
    encoder: str


def claim_names(dense: bool) -> list[str]:
    """The numbers of `summary`, in order."""
    of = [f"{kind}: {verdict}" for kind in ("most", "mean", "closest") for verdict in VERDICTS]
    return of + [f"{kind}: {name}" for kind in ("most", "closest") for name in names_of(dense)]


def summary(rows: np.ndarray, pairs: np.ndarray, dense: bool) -> np.ndarray:
    """Of sentences' features and verdicts, at least one: a row of numbers about the claim."""
    order = closest_first(rows, dense)
    return np.concatenate([pairs.max(0), pairs[order[:CLOSEST]].mean(0), pairs[order[0]], rows.max(0), rows[order[0]]])


def closest_first(rows: np.ndarray, dense: bool) -> np.ndarray:
    """Sentences by how much they are about the same."""
    by = names_of(dense).index("alike" if dense else "said")
    return np.argsort(-rows[:, by], kind="stable")


@cache
def read_claim_weights(dense: bool, path: Path = FILE) -> ClaimWeights:
    """The weights with or without vectors."""
    found = tomllib.loads(path.read_text(encoding="utf-8"))["dense" if dense else "lexical"]
    return ClaimWeights(
        pair=_softmax(found["pair"], names_of(dense)),
        claim=_softmax(found["claim"], claim_names(dense)),
        encoder=found.get("encoder", ""),
    )


def _softmax(table: dict[str, list[float]], names: Sequence[str]) -> Softmax:
    weights = np.array([table[name] for name in names])
    return Softmax(tuple(names), weights, np.array(table["constant"]))
