"""ModelSpec: the shape of a decoder-only language model, dense or mixture of experts.

One spec describes Grok-1 and Grok-2, and with other values the other families. It says what the
network is, never how it is trained or laid out. Sources of the values stand in the catalogue files.
"""

from collections import Counter
from typing import Any, Literal, Self

from pydantic import (
    Field,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from kolossos.specs.layers import IndexerSpec, Layer, LayerKind, MLASpec
from kolossos.specs.strict import Spec

MOST_LAYERS = 4096
USUAL = "usual"
"""In a pattern of layers: one as the model's own keys say."""


class RopeScaling(Spec):
    """Llama 3.1's stretch of the low rotary frequencies (meta-llama, arXiv:2407.21783; HF rope type "llama3")."""

    factor: PositiveFloat
    low_freq_factor: PositiveFloat = 1.0
    high_freq_factor: PositiveFloat = 4.0
    original_max_seq_len: PositiveInt


class YarnScaling(Spec):
    """YaRN (arXiv:2309.00071): low rotary frequencies divided by ``factor``, a ramp up to the ones that stay.

    attention_factor multiplies cos and sin; by default 0.1 ln(factor) + 1. round_ramp rounds the ramp's ends outwards.
    """

    factor: PositiveFloat
    original_max_seq_len: PositiveInt
    beta_fast: PositiveFloat = 32.0
    beta_slow: PositiveFloat = 1.0
    attention_factor: PositiveFloat | None = None
    round_ramp: bool = True


def _spoken(spec: Spec, values: dict[str, Any], seldom: tuple[str, ...]) -> dict[str, Any]:
    """``values`` without the keys of ``seldom`` features that this model does not have."""
    fields = type(spec).model_fields
    return {k: v for k, v in values.items() if k not in seldom or getattr(spec, k) != fields[k].default}


_SELDOM_OF_EXPERTS = ("shared_gate", "choice_bias", "latent_dim", "n_idle")
_SELDOM = (
    "v_head_dim", "attn_gate", "attn_chunked", "rope_share", "indexer", "parallel_block", "shared_norm", "norm_kind",
    "embedding_norm", "output_bias", "learned_positions", "final_norm", "mtp_layers", "layer_kinds", "layer_pattern",
    "encoder_parameters", "not_priced",
    "layer_input_dim", "layer_input_vocab", "residual_streams",
)  # fmt: skip
"""Written only where a model has them."""


class MoESpec(Spec):
    """The experts of one layer. The router's softmax runs over all experts before the top-k selection."""

    n_experts: PositiveInt
    top_k: PositiveInt
    expert_dim: PositiveInt = Field(description="hidden width of one expert")
    renormalize: bool = Field(
        default=False, description="rescale the selected gates to sum to one (Mixtral); Grok does not"
    )
    router_softcap: PositiveFloat | None = None
    bias: bool = Field(default=False, description="biases of the router and of the experts' matrices (GPT-OSS)")
    shared_dim: PositiveInt | None = Field(
        default=None, description="width, in total, of the shared experts that every token passes (DeepSeek)"
    )
    every: PositiveInt = Field(default=1, description="one layer in so many has experts (Llama 4 Maverick: 2)")
    shared_gate: bool = Field(default=False, description="a gate on the output of the shared experts (Qwen2-MoE)")
    choice_bias: bool = Field(default=False, description="a learned number an expert that the choice adds to its score")
    latent_dim: PositiveInt | None = Field(
        default=None, description="width that routed experts work in, with a matrix into it and one out (Nemotron 3)"
    )
    n_idle: NonNegativeInt = Field(default=0, description="experts that give back what they get (LongCat)")

    @model_serializer(mode="wrap")
    def _without_defaults(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return _spoken(self, handler(self), _SELDOM_OF_EXPERTS)

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.top_k > self.n_experts:
            raise ValueError(f"top_k = {self.top_k} selects more experts than n_experts = {self.n_experts}")
        return self


class ModelSpec(Spec):
    """A decoder. Widths in elements; ``None`` means that the part is absent."""

    most = 10**10

    name: str
    source: str = ""

    n_layers: PositiveInt
    dim: PositiveInt
    n_heads: PositiveInt
    n_kv_heads: PositiveInt
    head_dim: PositiveInt
    vocab_size: PositiveInt
    max_seq_len: PositiveInt

    mla: MLASpec | None = Field(default=None, description="replaces grouped-query attention; head_dim is nope + rope")

    ffn_dim: PositiveInt | None = Field(
        default=None, description="dense MLP: of all layers, of those without experts, or of a branch beside them"
    )
    gated_mlp: bool = Field(default=True, description="three matrices (SwiGLU, GeGLU) or two")
    moe: MoESpec | None = None
    first_dense_layers: int = Field(default=0, ge=0, description="so many first layers have the dense MLP alone")
    branch_scale: PositiveFloat = Field(default=1.0, description="factor on (dense + experts) where a layer has both")
    activation: Literal["silu", "gelu_tanh", "clamped_swiglu"] = Field(
        default="silu", description="of the gate; clamped_swiglu is GPT-OSS's, of gate and up together"
    )
    mlp_bias: bool = Field(default=False, description="biases of the dense MLP")

    norm_eps: PositiveFloat = 1e-5
    pre_norm: bool = Field(default=True, description="RMSNorm before each block (OLMo-2 has only those after)")
    post_norm: bool = Field(default=False, description="RMSNorm after each block too, before the residual sum (Grok)")

    rope_theta: PositiveFloat = 10_000.0
    rope_scaling: RopeScaling | None = None
    rope_yarn: YarnScaling | None = None
    qkv_bias: bool = Field(default=False, description="biases of queries, keys and values (Qwen2)")
    attn_output_bias: bool = False
    qk_norm: Literal["head", "whole"] | None = Field(
        default=None, description="RMSNorm of queries and keys: of each head (Qwen3) or of all together (OLMo-2)"
    )
    attn_windows: tuple[NonNegativeInt, ...] = Field(
        default=(),
        strict=False,
        description="positions that layers see, in turn and over again; 0 sees all (Gemma-2: [4096, 0])",
    )
    attn_chunked: bool = Field(default=False, description="windows are chunks that see nothing before (Llama 4)")
    v_head_dim: PositiveInt | None = Field(default=None, description="of values, where it is not head_dim (MiMo-V2)")
    attn_gate: Literal["element", "head"] | None = Field(
        default=None, description="a gate on the output of attention, of each element (Qwen3-Next) or head"
    )
    indexer: IndexerSpec | None = None
    rope_share: PositiveFloat = Field(default=1.0, le=1.0, description="of a head's width that is rotated (GLM: 0.5)")
    attn_sinks: bool = Field(default=False, description="a learned logit a head that takes weight from keys (GPT-OSS)")
    attn_scale: PositiveFloat | None = Field(default=None, description="factor on q.k; default head_dim^-0.5")
    attn_softcap: PositiveFloat | None = Field(default=None, description="c in c tanh(logits / c)")
    attn_temperature_len: PositiveInt | None = Field(
        default=None, description="beyond this position logits grow with log2(position) / log2(len) (Grok-2)"
    )

    parallel_block: bool = Field(default=False, description="attention and MLP read the same input, side by side")
    residual_streams: PositiveInt = Field(
        default=1, description="residual streams that every block reads and writes (hyper-connections)"
    )
    shared_norm: bool = Field(default=False, description="of a parallel block: one norm for both (Falcon, Cohere)")
    norm_kind: Literal["scale", "scale and bias", "plain"] = Field(
        default="scale", description="what a norm learns: RMSNorm a scale, LayerNorm often a bias too, OLMo-1 nothing"
    )
    final_norm: bool = True

    layer_kinds: tuple[LayerKind, ...] = Field(
        default=(), strict=False, description="kinds of layer beside the one that the other keys describe"
    )
    layer_pattern: tuple[str, ...] = Field(
        default=(),
        strict=False,
        description='names of layer_kinds, or "usual", in turn and over again: ["linear", "linear", "usual"]',
    )
    mtp_layers: NonNegativeInt = Field(
        default=0, description="layers that predict further tokens (DeepSeek-V3); counted beside the model"
    )
    encoder_parameters: NonNegativeInt = Field(default=0, description="of encoders beside the language model")
    not_priced: tuple[str, ...] = Field(
        default=(), strict=False, description="what the model has and neither counts nor plans hold"
    )

    layer_input_dim: PositiveInt | None = Field(
        default=None, description="width of an embedding of its own that every layer adds (Gemma 4 E2B)"
    )
    layer_input_vocab: PositiveInt | None = Field(default=None, description="of these; default vocab_size")
    tied_embeddings: bool = False
    learned_positions: PositiveInt | None = None
    embedding_norm: bool = False
    output_bias: bool = False
    embedding_multiplier: PositiveFloat = 1.0
    output_multiplier: PositiveFloat = 1.0
    output_softcap: PositiveFloat | None = None

    @model_serializer(mode="wrap")
    def _without_defaults(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return _spoken(self, handler(self), _SELDOM)

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.n_layers > MOST_LAYERS:
            raise ValueError(f"n_layers = {self.n_layers:,}: expected at most {MOST_LAYERS:,}")
        if self.n_heads % self.n_kv_heads:
            raise ValueError(f"n_heads = {self.n_heads} is not a multiple of n_kv_heads = {self.n_kv_heads}")
        if self.head_dim % 2:
            raise ValueError(f"head_dim = {self.head_dim} is odd; rotary embeddings turn pairs of elements")
        if self.ffn_dim is None and self.moe is None and not self.layer_kinds:
            raise ValueError("neither ffn_dim nor [moe]: a layer needs a dense MLP, experts, or both")
        if self.moe and self.ffn_dim is None and not self.layer_kinds and self.n_dense_layers:
            raise ValueError(f"{self.n_dense_layers} layers without experts, but no ffn_dim for their dense MLP")
        if self.mla and self.head_dim != self.mla.qk_nope_head_dim + self.mla.qk_rope_head_dim:
            raise ValueError(f"head_dim = {self.head_dim} is not qk_nope_head_dim + qk_rope_head_dim of [mla]")
        if not (self.pre_norm or self.post_norm):
            raise ValueError("neither pre_norm nor post_norm: a block needs a norm before it, after it, or both")
        self._check_kinds()
        if self.rope_scaling and self.rope_yarn:
            raise ValueError("both rope_scaling and rope_yarn: rotary frequencies are stretched in one way")
        return self

    def _check_kinds(self) -> None:
        names = [kind.name for kind in self.layer_kinds]
        if len(set(names)) < len(names) or USUAL in names:
            raise ValueError(f"layer_kinds: names {names} are not all different (and {USUAL!r} is taken)")
        if unknown := sorted(set(self.layer_pattern) - {USUAL, *names}):
            raise ValueError(f"layer_pattern names {unknown[0]!r}, which layer_kinds does not describe")
        if self.layer_kinds and not self.layer_pattern:
            raise ValueError("layer_kinds without a layer_pattern that says where they are")
        for layer in self.layers() if self.layer_pattern else {}:
            if not layer.sublayers:
                raise ValueError(f"layers of kind {layer.kind!r} have neither attention, a state, nor an MLP")
            if layer.n_heads and layer.n_heads % layer.n_kv_heads:
                raise ValueError(f"layers of kind {layer.kind!r}: n_heads is not a multiple of n_kv_heads")
            if layer.experts and self.moe is None:
                raise ValueError(f"layers of kind {layer.kind!r} have experts, but there is no [moe]")

    def layer(self, number: int) -> Layer:
        """Layer ``number`` with everything that holds for it."""
        name = self.layer_pattern[number % len(self.layer_pattern)] if self.layer_pattern else USUAL
        kind = next((kind for kind in self.layer_kinds if kind.name == name), _USUAL_KIND)
        experts, ffn_dim = self._mlp_of(number, kind)
        attends = kind.attention
        head_dim = kind.head_dim or self.head_dim
        mla = (kind.mla or self.mla) if attends else None
        head_dim = mla.qk_nope_head_dim + mla.qk_rope_head_dim if mla and kind.mla else head_dim
        of_values = mla.v_head_dim if mla else kind.head_dim or self.v_head_dim or head_dim
        return Layer(
            kind=kind.name,
            n_heads=(kind.n_heads or self.n_heads) if attends else 0,
            n_kv_heads=(kind.n_kv_heads or self.n_kv_heads) if attends else 0,
            head_dim=head_dim if attends else 0,
            v_head_dim=(kind.v_head_dim or of_values) if attends else 0,
            window=(self.window_of(number) if kind.window is None else kind.window) if attends else 0,
            mla=mla,
            values_are_keys=kind.values_are_keys,
            shares_kv=kind.shares_kv,
            indexer=self.indexer is not None and kind.indexer and attends,
            recurrent=kind.recurrent,
            ffn_dim=ffn_dim,
            experts=experts,
        )

    def layers(self) -> dict[Layer, int]:
        """The different layers, and how many there are of each, in the order in which they come first."""
        return dict(Counter(self.layer(number) for number in range(self.n_layers)))

    def _mlp_of(self, number: int, kind: LayerKind) -> tuple[bool, int]:
        """Whether layer ``number`` has experts, and the width of its dense MLP."""
        width = kind.ffn_dim or self.ffn_dim or 0
        if kind.mlp is not None:
            return kind.mlp in ("experts", "both"), width if kind.mlp in ("dense", "both") else 0
        if self.moe is None:
            return False, width
        place = number - self.first_dense_layers
        experts = place >= 0 and place % self.moe.every == self.moe.every - 1
        return experts, width if not experts or self.dense_beside_experts else 0

    @property
    def n_moe_layers(self) -> int:
        """Layers with experts: every ``moe.every``-th after the first dense ones, or as their kinds say."""
        if self.layer_pattern:
            return sum(n for layer, n in self.layers().items() if layer.experts)
        return self._by_place

    @property
    def _by_place(self) -> int:
        return max(self.n_layers - self.first_dense_layers, 0) // self.moe.every if self.moe else 0

    @property
    def n_dense_layers(self) -> int:
        """Layers whose feed-forward part is a dense MLP alone."""
        if self.layer_pattern:
            return sum(n for layer, n in self.layers().items() if layer.ffn_dim and not layer.experts)
        return self.n_layers - self._by_place

    @property
    def dense_beside_experts(self) -> bool:
        """Whether each layer with experts also has the dense branch (Grok-2): so if no layer is dense alone.

        With kinds of layer, these say it.
        """
        return self.moe is not None and self.ffn_dim is not None and not self.layer_kinds and not self.n_dense_layers

    def window_of(self, layer: int) -> int:
        """How many positions layer number ``layer`` sees, itself included; 0: all."""
        return self.attn_windows[layer % len(self.attn_windows)] if self.attn_windows else 0

    @property
    def attention_scale(self) -> float:
        """Factor on the attention logits."""
        return self.attn_scale if self.attn_scale is not None else self.head_dim**-0.5


_USUAL_KIND = LayerKind(name=USUAL)
