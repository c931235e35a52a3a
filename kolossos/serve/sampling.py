"""From logits to tokens, each sequence with random numbers of its own.

Filters come in the order temperature, top-k, top-p, min-p, each on the probabilities that the one before left, scaled
to sum to one (the order of transformers' logits processors).

Shapes: B sequences, V vocabulary.
"""

from typing import Protocol

import torch
from torch import Tensor

from kolossos.errors import InputError
from kolossos.serve.options import GenerationOptions
from kolossos.streams import named_seed


def sequence_generator(seed: int, index: int) -> torch.Generator:
    """The random numbers of sequence ``index``, the same whatever else is in the batch and on any device."""
    return torch.Generator().manual_seed(named_seed(seed, str(index)))


def choose_tokens(logits_BV: Tensor, generators: list[torch.Generator], options: GenerationOptions) -> Tensor:
    """One token a sequence, [B]; a draw takes one number from the sequence's generator.

    Raises:
        InputError: logits that are not finite.
    """
    if not logits_BV.isfinite().all():
        raise InputError("the model's logits are not finite: its weights are damaged, or its training has diverged")
    if options.temperature == 0.0:
        return logits_BV.argmax(-1)
    draws_B1 = torch.stack([torch.rand(1, generator=g, dtype=torch.float64) for g in generators]).to(logits_BV.device)
    # Inverse of the cumulative distribution in the order of the vocabulary, not of the probabilities: rounding, which
    # may differ from one batch to another, then cannot swap tokens of nearly equal probability.
    cumulative_BV = token_probabilities(logits_BV, options).double().cumsum(-1)
    cumulative_BV = cumulative_BV / cumulative_BV[:, -1:]  # ends with 1 exactly, which no draw reaches
    return torch.searchsorted(cumulative_BV, draws_B1, right=True).squeeze(-1)


class Filters(Protocol):
    """What decides how probabilities are drawn from; see `GenerationOptions`."""

    @property
    def temperature(self) -> float: ...
    @property
    def top_k(self) -> int | None: ...
    @property
    def top_p(self) -> float: ...
    @property
    def min_p(self) -> float: ...


def token_probabilities(logits_BV: Tensor, options: Filters) -> Tensor:
    """The distribution that is drawn from, [B, V], zero where a filter took a token out; temperature above 0."""
    logits_BV = (logits_BV - logits_BV.amax(-1, keepdim=True)) / options.temperature
    if options.top_k is not None and options.top_k < logits_BV.shape[-1]:
        kth_B1 = logits_BV.topk(options.top_k, dim=-1).values[:, -1:]
        logits_BV = logits_BV.masked_fill(logits_BV < kth_B1, float("-inf"))
    probs_BV = logits_BV.softmax(-1)
    if options.top_p < 1.0:
        probs_BV = _scaled(probs_BV.masked_fill(_outside_top_p(probs_BV, options.top_p), 0.0))
    if options.min_p > 0.0:
        floor_B1 = options.min_p * probs_BV.amax(-1, keepdim=True)
        probs_BV = _scaled(probs_BV.masked_fill(probs_BV < floor_B1, 0.0))
    return probs_BV


def _outside_top_p(probs_BV: Tensor, top_p: float) -> Tensor:
    """True for tokens that are not needed to reach ``top_p``: the more likely ones have it already."""
    sorted_BV, order_BV = probs_BV.sort(dim=-1, descending=True, stable=True)
    before_BV = sorted_BV.cumsum(-1) - sorted_BV
    return torch.empty_like(before_BV, dtype=torch.bool).scatter_(-1, order_BV, before_BV >= top_p)


def _scaled(probs_BV: Tensor) -> Tensor:
    return probs_BV / probs_BV.sum(-1, keepdim=True)
