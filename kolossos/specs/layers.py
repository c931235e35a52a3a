"""What one layer of a decoder is made of: how it mixes tokens (attention, a recurrent state, or both side by side),
and its MLP (dense, experts, both or none).

`ModelSpec` says what most layers are; where some differ, `LayerKind` says in what, and `Layer` is the outcome for one.
"""

from dataclasses import dataclass
from typing import Literal, Self

from pydantic import Field, NonNegativeInt, PositiveInt, model_validator

from kolossos.specs.strict import Spec

RecurrentKind = Literal["gated-delta", "kimi-delta", "lightning", "mamba-2", "mamba-1", "convolution"]


class RecurrentSpec(Spec):
    """Tokens mixed by a state that is carried along the sequence, ``key_dim`` x ``value_dim`` for each head.

    gated-delta: Gated DeltaNet (arXiv:2412.06464), as Qwen3-Next has it; kimi-delta: KDA (arXiv:2510.26692), whose
    decay is one of each channel; lightning: linear attention with a fixed decay (arXiv:2401.04658); mamba-2
    (arXiv:2405.21060): keys and queries are B and C; mamba-1 (arXiv:2312.00752): a head is one channel; convolution:
    a gated short convolution alone (LFM2), without any state.
    """

    kind: RecurrentKind
    n_heads: PositiveInt = Field(description="heads of values; mamba-1 and convolution: channels")
    n_key_heads: PositiveInt = Field(description="heads of keys and queries; Mamba: groups")
    key_dim: PositiveInt = Field(description="of one head; Mamba: the size of the state")
    value_dim: PositiveInt = Field(description="of one head")
    conv_kernel: NonNegativeInt = Field(default=0, description="positions that the short convolution sees; 0: none")
    conv_bias: bool = False
    rank: PositiveInt | None = Field(
        default=None, description="of decay and output gate (kimi-delta; None: full), of the time step (mamba-1)"
    )
    inner_norms: bool = Field(default=True, description="the norm before the output; mamba-1: of step, B and C")
    chunk: PositiveInt = Field(default=64, description="positions that training works through at once")

    @property
    def keys(self) -> int:
        """Width of all keys of a position."""
        return self.n_key_heads * self.key_dim

    @property
    def values(self) -> int:
        """Width of all values of a position."""
        return self.n_heads * self.value_dim

    @property
    def conv_width(self) -> int:
        """Channels of the short convolution."""
        if self.kind == "lightning" or not self.conv_kernel:
            return 0
        return self.values if self.kind in ("mamba-1", "convolution") else 2 * self.keys + self.values

    @property
    def in_width(self) -> int:
        """Columns of the matrices that read the residual stream."""
        keys, values, heads = self.keys, self.values, self.n_heads
        gates = (self.rank or keys) + (self.rank or values)
        return {
            "gated-delta": 2 * keys + 2 * values + 2 * heads,
            "kimi-delta": 2 * keys + values + heads + gates,
            "lightning": 4 * values,
            "mamba-2": 2 * keys + 2 * values + heads,
            "mamba-1": 2 * values,
            "convolution": 3 * values,
        }[self.kind]

    @property
    def inner_weights(self) -> int:
        """Elements of the matrices between inner widths."""
        if self.kind == "kimi-delta" and self.rank:
            return self.rank * (self.keys + self.values)
        if self.kind == "mamba-1":
            return self.values * (2 * (self.rank or 1) + 2 * self.key_dim)
        return 0

    @property
    def vectors(self) -> int:
        """Everything that is no matrix: convolution, decays, biases, norms."""
        conv = self.conv_width * (self.conv_kernel + self.conv_bias)
        norm = self.value_dim if self.kind in ("gated-delta", "kimi-delta") else self.values
        own = {
            "gated-delta": 2 * self.n_heads,
            "kimi-delta": self.n_heads + self.keys,
            "lightning": 0,
            "mamba-2": 3 * self.n_heads,
            "mamba-1": self.values * (self.key_dim + 2),
            "convolution": 0,
        }[self.kind]
        if self.kind == "mamba-1":
            norm = (self.rank or 1) + 2 * self.key_dim
        return conv + own + (norm if self.inner_norms and self.kind != "convolution" else 0)

    @property
    def state_flops(self) -> float:
        """Forward FLOPs of one token on the state: decay and update, readout, and what the delta rule corrects."""
        if self.kind == "convolution":
            return 0.0
        products = 6.0 if self.kind in ("gated-delta", "kimi-delta") else 4.0
        return products * self.n_heads * self.key_dim * self.value_dim

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.n_heads % self.n_key_heads:
            raise ValueError(f"n_heads = {self.n_heads} is not a multiple of n_key_heads = {self.n_key_heads}")
        return self


class MLASpec(Spec):
    """Multi-head latent attention (DeepSeek-V2, arXiv:2405.04434, section 2.1): keys and values from a latent."""

    q_lora_rank: PositiveInt | None = Field(default=None, description="None: queries straight from the residual")
    kv_lora_rank: PositiveInt
    qk_nope_head_dim: PositiveInt
    qk_rope_head_dim: NonNegativeInt
    v_head_dim: PositiveInt


class IndexerSpec(Spec):
    """The small attention that chooses which positions the large one sees (DeepSeek-V3.2, arXiv:2512.02556)."""

    n_heads: PositiveInt
    head_dim: PositiveInt
    top_k: PositiveInt = Field(description="positions that it chooses")


class LayerKind(Spec):
    """Layers that differ from what the model's own keys say; None: as there."""

    name: str
    attention: bool = True
    recurrent: RecurrentSpec | None = Field(default=None, description="with attention: both side by side")
    mlp: Literal["dense", "experts", "both", "none"] | None = None
    ffn_dim: PositiveInt | None = None
    window: NonNegativeInt | None = None
    n_heads: PositiveInt | None = None
    n_kv_heads: PositiveInt | None = None
    head_dim: PositiveInt | None = None
    v_head_dim: PositiveInt | None = None
    mla: MLASpec | None = None
    values_are_keys: bool = Field(default=False, description="no matrix for values: keys serve as both (Gemma 4)")
    shares_kv: bool = Field(default=False, description="keys and values of an earlier layer are used again")
    indexer: bool = Field(default=True, description="where the model has an indexer, whether these layers have one")


@dataclass(frozen=True)
class Layer:
    """One layer with everything said; equal layers are equal values."""

    kind: str
    n_heads: int
    """0: no attention."""
    n_kv_heads: int
    head_dim: int
    v_head_dim: int
    window: int
    """Positions that attention sees; 0: all."""
    mla: MLASpec | None
    values_are_keys: bool
    shares_kv: bool
    indexer: bool
    recurrent: RecurrentSpec | None
    ffn_dim: int
    """Of a dense MLP; 0: none."""
    experts: bool

    @property
    def mixes(self) -> bool:
        """Whether tokens see each other in it."""
        return self.n_heads > 0 or self.recurrent is not None

    @property
    def sublayers(self) -> int:
        """Steps of the residual stream: mixing and MLP."""
        return self.mixes + (self.ffn_dim > 0 or self.experts)
