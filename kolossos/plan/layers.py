"""How the layers of a model fall on the stages and chunks of a pipeline: the one rule, for columns and for a list.

Chunks are whole layers, ceil(layers / (pp vp)) each; what is missing is missing at both ends, where the embedding and
the head make up for it, and the last stage lacks the odd one.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from kolossos.plan.columns import Column


class ChunkRule(NamedTuple):
    """Layers of a full chunk, and by how many the first and the last stage fall short of full ones."""

    chunk: Column
    missing_first: Column
    missing_last: Column

    @property
    def missing(self) -> Column:
        """Of both ends together."""
        return self.missing_first + self.missing_last


def chunk_rule(n_layers: Column | int, pp: Column | int, vp: Column | int) -> ChunkRule:
    """Layers on ``pp`` stages of ``vp`` chunks each; numbers or columns."""
    chunk = np.ceil(n_layers / (pp * vp) - 1e-9)
    missing = chunk * pp * vp - n_layers
    return ChunkRule(chunk, np.floor(missing / 2), np.ceil(missing / 2))


@dataclass(frozen=True)
class Stages:
    """Layers of the fullest stage, the first, the last, and the mean."""

    layers: Column
    layers_first: Column
    layers_last: Column
    mean_layers: Column


def stages(n_layers: Column, pp: Column, vp: Column) -> Stages:
    """The stages of every row; without a pipeline there is one, and it holds all layers."""
    rule = chunk_rule(n_layers, pp, vp)
    full = rule.chunk * vp
    first, last = (np.maximum(full - missing, 0.0) for missing in (rule.missing_first, rule.missing_last))
    full, first, last = (np.where(pp > 1, column, n_layers) for column in (full, first, last))
    return Stages(full, first, last, n_layers / pp)


def chunk_layers(n_layers: int, pp: int, vp: int) -> list[list[int]]:
    """Layers by stage and chunk of one layout."""
    rule = chunk_rule(n_layers, pp, vp)
    layers = [[int(rule.chunk)] * vp for _ in range(pp)]
    places = [(place % pp, place // pp) for place in range(pp * vp)]
    for missing, order in ((rule.missing_first, places), (rule.missing_last, places[::-1])):
        take = int(missing)
        for stage, part in order:
            gone = min(take, layers[stage][part])
            layers[stage][part] -= gone
            take -= gone
    return layers


def stage_layers(n_layers: int, pp: int, vp: int) -> list[int]:
    """Layers by stage of one layout."""
    return [sum(chunks) for chunks in chunk_layers(n_layers, pp, vp)]
