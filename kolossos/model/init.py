"""First values of the weights: each element a pure function of (seed, global name of its parameter, its index).

So a rank makes just what it holds (rows, columns, experts, layers) and has the bits that one rank alone would have.
Element i of a parameter (row by row) is the normal quantile of word i of the parameter's own stream of 16-bit words:
a look-up, the same on every processor, in half the time of torch's normal_. The 65,536 quantiles reach 4.3 standard
deviations.
"""

import math
from collections.abc import Iterator
from functools import lru_cache
from itertools import product
from statistics import NormalDist
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from kolossos.model.chunks import Chunks
from kolossos.model.decoder import Decoder
from kolossos.model.held import held_slices, held_tensor
from kolossos.specs.model import ModelSpec
from kolossos.streams import counted_words

Model = TypeVar("Model", bound=Decoder | Chunks)

LEVELS = 1 << 16
PIECE = 1 << 16  # elements made at a time: their words and indices stay in the cache


@torch.no_grad()
def initialize(model: Model, seed: int) -> Model:
    """Fill every parameter of ``model`` (already on a real device; a part or shards of one, too) and return it."""
    for name, parameter in model.named_parameters():
        if name.endswith(("bias", "sinks")):
            held_tensor(parameter).zero_()
        elif "norm" in name:
            held_tensor(parameter).fill_(_norm_scale(model.spec, name))
        else:
            values = normal_values(seed, name, tuple(parameter.shape), held_slices(parameter))
            values *= np.float32(initial_std(model.spec, name, parameter))
            held_tensor(parameter).copy_(torch.from_numpy(values))
    return model


def initial_std(spec: ModelSpec, name: str, parameter: Tensor) -> float:
    """Standard deviation of a weight: 1 / sqrt(inputs), projections back into the residual stream scaled down.

    The embedding times its multiplier has unit variance, so that tied logits start near unit variance, too.
    """
    if name == "embedding.weight":
        return min(spec.dim**-0.5, 1.0 / spec.embedding_multiplier)
    if name.endswith("router.weight"):
        return 0.1 * spec.dim**-0.5
    inputs = parameter.shape[1]
    into_residual = name.endswith(("attention.output.weight", "mlp.down.weight", "experts.down"))
    if into_residual and not spec.post_norm:  # GPT-2's depth scaling; with post-norms the norm's scale does it
        return inputs**-0.5 / math.sqrt(2 * spec.n_layers)
    return inputs**-0.5


def normal_values(seed: int, name: str, shape: tuple[int, ...], part: tuple[slice, ...]) -> np.ndarray:
    """The ``part`` (one slice a dim) of the standard normal values (fp32) of ``shape`` that belong to ``name``."""
    sizes = tuple(s.stop - s.start for s in part)
    values = np.empty(sizes, dtype=np.float32)
    flat = values.reshape(-1)
    filled = 0
    for start, count in _runs(shape, part) if values.size else ():
        for place in range(start, start + count, PIECE):
            n = min(PIECE, start + count - place)
            words = counted_words(seed, name, place, n)
            np.take(_quantiles(), words, out=flat[filled : filled + n], mode="clip")  # "clip": no check of each index
            filled += n
    return values


def _runs(shape: tuple[int, ...], part: tuple[slice, ...]) -> Iterator[tuple[int, int]]:
    """(start, count) of the stretches of the flattened whole that make up ``part``, in order."""
    cut = max((d for d in range(len(shape)) if part[d].stop - part[d].start != shape[d]), default=0)
    inner = math.prod(shape[cut + 1 :])
    strides = [math.prod(shape[d + 1 :]) for d in range(cut)]
    for index in product(*(range(part[d].start, part[d].stop) for d in range(cut))):
        start = sum(i * stride for i, stride in zip(index, strides, strict=True))
        yield start + part[cut].start * inner, (part[cut].stop - part[cut].start) * inner


@lru_cache(maxsize=1)
def _quantiles() -> np.ndarray:
    """The middle quantiles of 65,536 equal parts of the normal distribution, scaled to unit variance."""
    normal = NormalDist()
    upper = np.array([normal.inv_cdf((i + 0.5) / LEVELS) for i in range(LEVELS // 2, LEVELS)])
    values = np.concatenate([-upper[::-1], upper])
    return (values / math.sqrt(np.mean(values**2))).astype(np.float32)


def _norm_scale(spec: ModelSpec, name: str) -> float:
    return 1.0 / math.sqrt(2 * spec.n_layers) if "post_norm" in name else 1.0
