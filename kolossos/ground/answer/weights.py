"""Weights that were fitted elsewhere (`benchmarks/ground/fit_answers.py`) and are read here as data."""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

FILE = Path(__file__).parent / "weights.toml"


@dataclass(frozen=True)
class Linear:
    """constant + sum of weight x feature, by the features' names; a name without a weight counts nothing."""

    constant: float
    weights: Mapping[str, float]

    def of(self, names: Sequence[str], rows: np.ndarray) -> np.ndarray:
        """Scores of ``rows`` [..., features], whose columns are ``names``."""
        return rows @ np.array([self.weights.get(name, 0.0) for name in names]) + self.constant


@dataclass(frozen=True)
class Weights:
    """Everything that decides an answer, once with vectors and once without.

    sentence: how well a sentence answers. support: log odds that the sources hold an answer. right: log odds that the
    first sentence holds it. least: the support (a probability) from which an answer is given.
    second: share of the first sentence below which the next best is quoted, too.
    """

    sentence: Linear
    support: Linear
    right: Linear
    least: float
    second: float
    encoder: str  # identity of the embedding model whose vectors were used, or ""


@cache
def read_weights(dense: bool, path: Path = FILE) -> Weights:
    """The weights with or without vectors."""
    found = tomllib.loads(path.read_text(encoding="utf-8"))["dense" if dense else "lexical"]

    def linear(name: str) -> Linear:
        given = dict(found[name])
        return Linear(given.pop("constant", 0.0), given)

    return Weights(
        sentence=linear("sentence"),
        support=linear("support"),
        right=linear("right"),
        least=found["least"],
        second=found["second"],
        encoder=found.get("encoder", ""),
    )


def probability(log_odds: float) -> float:
    """1 / (1 + e^-x), without an overflow."""
    return float(1 / (1 + np.exp(-np.clip(log_odds, -60, 60))))
