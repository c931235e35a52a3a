"""One order out of two: by words (BM25) and by meaning (cosine of vectors).

    score = w * lexical / best lexical + (1 - w) * likeness
    likeness = SPREAD * (cosine - middle) / spread

for everything that either list found. Scores say more than ranks: a clear winner stays one (a convex combination, as
Bruch, Gai and Ingber 2022, "An analysis of fusion functions for hybrid retrieval", find best). BM25 has no scale of
its own, so the best of the query is 1. The cosine has one, but each model's is another: middle and spread are those
of the model for unrelated sentences. The weight was chosen on one half of two data sets with a model whose likeness
is its cosine, less a little; see docs/ground.md.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

LEXICAL_WEIGHT = 0.3
SPREAD = 0.075  # of the model that the weight was chosen with
SAME = (0.0, SPREAD)  # a scale by which likeness is the cosine


@dataclass(frozen=True, slots=True)
class Found:
    """What one passage was found by. Ranks are from 1, None where a list does not hold it."""

    passage: int
    score: float
    lexical: float
    cosine: float | None
    lexical_rank: int | None
    dense_rank: int | None

    @property
    def why(self) -> dict[str, float | str]:
        """As `Hit.why` says it."""
        given = {
            "lexical rank": self.lexical_rank,
            "dense rank": self.dense_rank,
            "lexical score": round(self.lexical, 4) if self.lexical_rank is not None or self.lexical else None,
            "cosine": None if self.cosine is None else round(self.cosine, 4),
        }
        return {name: value for name, value in given.items() if value is not None}


def fuse(
    lexical: Mapping[int, float],
    cosines: Mapping[int, float],
    ranked: tuple[Sequence[int], Sequence[int]],
    scale: tuple[float, float] = SAME,
) -> list[Found]:
    """Everything that was found, the best first; equal scores in the order of their numbers.

    Args:
        lexical: BM25 of each passage; absent: 0.
        cosines: of each passage that has a vector; none at all: the lexical order alone.
        ranked: the passages of the lexical and of the dense list, the best first.
        scale: (middle, spread) of the model's cosines.
    """
    lexical_ranks = {passage: rank for rank, passage in enumerate(ranked[0], start=1)}
    dense_ranks = {passage: rank for rank, passage in enumerate(ranked[1], start=1)}
    best = max(lexical.values(), default=0.0) or 1.0
    weight = LEXICAL_WEIGHT if cosines else 1.0
    found = []
    for passage in lexical_ranks.keys() | dense_ranks.keys():
        word_score, cosine = lexical.get(passage, 0.0), cosines.get(passage)
        likeness = 0.0 if cosine is None else SPREAD * (cosine - scale[0]) / scale[1]
        score = weight * word_score / best + (1 - weight) * likeness
        ranks = (lexical_ranks.get(passage), dense_ranks.get(passage))
        found.append(Found(passage, score, word_score, cosine, *ranks))
    return sorted(found, key=lambda each: (-each.score, each.passage))
