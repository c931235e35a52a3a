"""What every engine is given: the shape of the model, the prompts and how many tokens to write.

dense: 6.8 M parameters; moe: 17.4 M; moe300: 296 M, of which a token meets 101 M. No torch here: the parent process
reads this, and so do the environments of the peers.
"""

from dataclasses import dataclass

import numpy as np

SEED = 0
PROMPT_TOKENS, LONG_PROMPT_TOKENS, CACHED_TOKENS = 64, 512, 2000
NEXT_TURN_TOKENS = 32
BATCHES = (1, 8, 32)
LOWEST_ID = 64  # special tokens lie below
CONTEXT = 4096
CACHE_GIB = 1
"""For keys and values, where an engine asks; the others take what an answer needs."""


@dataclass(frozen=True)
class Shape:
    dim: int = 256
    n_layers: int = 6
    n_heads: int = 4
    n_kv_heads: int = 2
    head_dim: int = 64
    ffn_dim: int = 768  # of the one MLP, or of each expert
    vocab_size: int = 4096
    n_experts: int = 0
    experts_per_token: int = 0
    rope_theta: float = 10_000.0
    norm_eps: float = 1e-5

    @property
    def mlp_weights(self) -> int:
        """Of one expert, or of the one MLP."""
        return 3 * self.dim * self.ffn_dim

    @property
    def fixed_weights(self) -> int:
        """Those that every step reads: attention, router and output matrix, without the rows of the embedding."""
        attention = self.dim * self.head_dim * 2 * (self.n_heads + self.n_kv_heads)
        return self.n_layers * (attention + self.dim * self.n_experts) + self.vocab_size * self.dim

    @property
    def active(self) -> int:
        """Weights that one token is multiplied with."""
        return self.fixed_weights + self.n_layers * max(1, self.experts_per_token) * self.mlp_weights

    @property
    def parameters(self) -> int:
        norms = self.dim * (2 * self.n_layers + 1)
        return self.fixed_weights + self.vocab_size * self.dim + norms + self.n_layers * self.mlps * self.mlp_weights

    @property
    def mlps(self) -> int:
        return max(1, self.n_experts)

    def touched(self, tokens: int) -> float:
        """Weights that a step of ``tokens`` tokens reads, if each takes its experts with equal chances."""
        if not self.n_experts:
            return self.fixed_weights + self.n_layers * self.mlp_weights
        left_out = (1 - self.experts_per_token / self.n_experts) ** tokens
        return self.fixed_weights + self.n_layers * self.n_experts * (1 - left_out) * self.mlp_weights


SHAPES = {
    "dense": Shape(),
    "moe": Shape(ffn_dim=384, n_experts=8, experts_per_token=2),
    "moe300": Shape(
        dim=768,
        n_layers=12,
        n_heads=12,
        n_kv_heads=4,
        ffn_dim=1024,
        vocab_size=32_768,
        n_experts=8,
        experts_per_token=2,
    ),
}


@dataclass(frozen=True)
class Contestant:
    """An engine with its setting. weights: how it holds them; venv: a peer's environment, None for Kolossos' own."""

    engine: str
    setting: str
    weights: str
    venv: str | None = None

    @property
    def is_peer(self) -> bool:
        return self.engine != "kolossos"


CONTESTANTS = {
    "kolossos-fp32": Contestant("kolossos", "fp32", "fp32"),
    "kolossos-int8": Contestant("kolossos", "int8", "int8"),
    "transformers-dynamic": Contestant("transformers", "dynamic", "fp32"),
    "transformers-static": Contestant("transformers", "static", "fp32"),
    "llama.cpp-f32": Contestant("llama.cpp", "f32", "fp32", "llama"),
    "llama.cpp-q8": Contestant("llama.cpp", "q8_0", "int8", "llama"),
    "vllm": Contestant("vllm", "eager", "fp32", "vllm"),
}
BYTES_PER_WEIGHT = {"fp32": 4.0, "int8": 1.0}


def prompts(shape: Shape, number: int, length: int, purpose: int) -> list[list[int]]:
    """``number`` prompts of random tokens, others for every ``purpose``, so that no cache of prefixes helps."""
    rng = np.random.default_rng((SEED, purpose, number, length))
    return rng.integers(LOWEST_ID, shape.vocab_size, (number, length)).tolist()
