"""Rotary position embeddings over halves of a head ("NeoX order"; Su et al., arXiv:2104.09864).

Shapes: B batch, S sequence, H heads, P head_dim / 2.
"""

import math

import torch
from torch import Tensor

from kolossos.specs.model import ModelSpec, RopeScaling, YarnScaling


def rotary_tables(spec: ModelSpec, positions_BS: Tensor, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
    """cos and sin of every position's angles: two tensors [B, S, 1, head_dim / 2].

    ``positions_BS`` may have B = 1 to serve a whole batch. Angles are computed in fp32 (fp64 if ``dtype`` is).
    """
    wide = torch.promote_types(dtype, torch.float32)
    exponents = torch.arange(0, spec.head_dim, 2, device=positions_BS.device, dtype=wide) / spec.head_dim
    inv_freq_P = 1.0 / spec.rope_theta**exponents
    if spec.rope_scaling is not None:
        inv_freq_P = _stretch(inv_freq_P, spec.rope_scaling)
    if spec.rope_yarn is not None:
        inv_freq_P = _yarn(inv_freq_P, spec.rope_theta, spec.rope_yarn)
    angles_BS1P = positions_BS.to(wide)[..., None, None] * inv_freq_P
    cos, sin = angles_BS1P.cos(), angles_BS1P.sin()
    if spec.rope_yarn is None:
        return cos, sin
    growth = spec.rope_yarn.attention_factor or 0.1 * math.log(max(spec.rope_yarn.factor, 1.0)) + 1.0
    return cos * growth, sin * growth


def rotate(x_BSHP2: Tensor, tables: tuple[Tensor, Tensor]) -> Tensor:
    """Turn each pair (x[i], x[i + head_dim / 2]) by its position's angle; dtype of ``x`` is kept."""
    cos, sin = tables
    first, second = x_BSHP2.to(cos.dtype).chunk(2, dim=-1)
    return torch.cat((first * cos - second * sin, second * cos + first * sin), dim=-1).to(x_BSHP2.dtype)


def attention_temperature(spec: ModelSpec, positions_BS: Tensor) -> Tensor | None:
    """Grok-2's growth of the logits beyond ``attn_temperature_len``: log2(position) / log2(len), [B, S, 1, 1]."""
    if spec.attn_temperature_len is None:
        return None
    growth = torch.log2(positions_BS.clamp(min=1).float()) / math.log2(spec.attn_temperature_len)
    return growth.clamp(min=1.0)[..., None, None]


def _stretch(inv_freq_P: Tensor, scaling: RopeScaling) -> Tensor:
    """Llama 3.1: long wavelengths divided by ``factor``, short ones kept, a linear blend in between."""
    wavelength = 2 * math.pi / inv_freq_P
    turns = scaling.original_max_seq_len / wavelength
    blend = (turns - scaling.low_freq_factor) / (scaling.high_freq_factor - scaling.low_freq_factor)
    blend = blend.clamp(0.0, 1.0)
    return inv_freq_P * (blend + (1 - blend) / scaling.factor)


def _yarn(inv_freq_P: Tensor, theta: float, yarn: YarnScaling) -> Tensor:
    """YaRN (arXiv:2309.00071, section 3.2): frequencies of few turns within the original length divided by ``factor``.

    The ramp is linear in the index of the pair, between the pairs that turn beta_fast and beta_slow times.
    """
    pairs = inv_freq_P.shape[0]

    def pair_that_turns(times: float) -> float:
        return pairs * math.log(yarn.original_max_seq_len / (times * 2 * math.pi)) / math.log(theta)

    low, high = pair_that_turns(yarn.beta_fast), pair_that_turns(yarn.beta_slow)
    if yarn.round_ramp:
        low, high = math.floor(low), math.ceil(high)
    low, high = max(low, 0), min(high, 2 * pairs - 1)
    index_P = torch.arange(pairs, device=inv_freq_P.device, dtype=inv_freq_P.dtype)
    ramp_P = ((index_P - low) / max(high - low, 0.001)).clamp(0.0, 1.0)
    return inv_freq_P * (1 - ramp_P) + inv_freq_P / yarn.factor * ramp_P
