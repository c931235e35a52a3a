"""First values of the weights: a pure function of (seed, name of the parameter), whatever the order or the ranks."""

import math

import torch
from torch import Tensor

from kolossos.model.decoder import Decoder
from kolossos.specs.model import ModelSpec
from kolossos.streams import named_seed


@torch.no_grad()
def initialize(model: Decoder, seed: int) -> Decoder:
    """Fill every parameter of ``model`` (already on a real device) and return it."""
    for name, parameter in model.named_parameters():
        if "norm" in name:
            parameter.fill_(_norm_scale(model.spec, name))
        else:
            _fill_normal(parameter, initial_std(model.spec, name, parameter), _generator(seed, name))
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


def _norm_scale(spec: ModelSpec, name: str) -> float:
    return 1.0 / math.sqrt(2 * spec.n_layers) if "post_norm" in name else 1.0


def _generator(seed: int, name: str) -> torch.Generator:
    return torch.Generator().manual_seed(named_seed(seed, name))


def _fill_normal(parameter: Tensor, std: float, generator: torch.Generator) -> None:
    values = torch.empty(parameter.shape, dtype=torch.float32)
    values.normal_(0.0, std, generator=generator)
    parameter.copy_(values)
