"""What every contestant is given: the shape of the model, the recipe of the step and the tokens.

Dense: 6.82 M parameters. MoE: 17.4 M, of which a token meets as many as in the dense model (2 experts of 384 = 768).
No torch here: the parent process reads this too, and must stay small (a child's peak memory starts at its parent's).
"""

from dataclasses import dataclass

import numpy as np

WARMUP_STEPS = 3  # the first holds the compilation, the second often a recompilation


@dataclass(frozen=True)
class Shape:
    dim: int = 256
    n_layers: int = 6
    n_heads: int = 4
    n_kv_heads: int = 2
    head_dim: int = 64
    ffn_dim: int = 768
    vocab_size: int = 4096
    seq_len: int = 256
    n_experts: int = 0
    experts_per_token: int = 0
    rope_theta: float = 10_000.0
    norm_eps: float = 1e-5
    init_std: float = 0.02


SHAPES = {"dense": Shape(), "moe": Shape(ffn_dim=384, n_experts=8, experts_per_token=2)}


@dataclass(frozen=True)
class Recipe:
    """AdamW without a schedule, the gradient norm clipped; one step is batch_size x seq_len tokens."""

    batch_size: int = 8
    learning_rate: float = 3e-4
    betas: tuple[float, float] = (0.9, 0.95)
    weight_decay: float = 0.1
    max_grad_norm: float = 1.0
    seed: int = 0


RECIPE = Recipe()


def tokens_per_step(shape: Shape) -> int:
    return RECIPE.batch_size * shape.seq_len


def token_batches(shape: Shape, n_steps: int) -> np.ndarray:
    """Tokens [n_steps, batch, seq_len + 1] drawn by Zipf's law, so that the loss falls and a broken step shows."""
    rng = np.random.default_rng(RECIPE.seed)
    frequency = 1.0 / np.arange(1, shape.vocab_size + 1)
    size = (n_steps, RECIPE.batch_size, shape.seq_len + 1)
    return rng.choice(shape.vocab_size, size=size, p=frequency / frequency.sum()).astype(np.int64)
