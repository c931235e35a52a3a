"""ModelSpec: the shape of a decoder-only language model, dense or mixture of experts.

One spec describes Grok-1 and Grok-2, and with other values the other families. It says what the
network is, never how it is trained or laid out. Sources of the values stand in the catalogue files.
"""

from typing import Literal, Self

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from kolossos.specs.strict import Spec


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

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.top_k > self.n_experts:
            raise ValueError(f"top_k = {self.top_k} selects more experts than n_experts = {self.n_experts}")
        return self


class MLASpec(Spec):
    """Multi-head latent attention (DeepSeek-V2, arXiv:2405.04434, section 2.1): keys and values from a latent."""

    q_lora_rank: PositiveInt | None = Field(default=None, description="None: queries straight from the residual")
    kv_lora_rank: PositiveInt
    qk_nope_head_dim: PositiveInt
    qk_rope_head_dim: PositiveInt
    v_head_dim: PositiveInt


class ModelSpec(Spec):
    """A decoder. Widths in elements; ``None`` means that the part is absent."""

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
    attn_sinks: bool = Field(default=False, description="a learned logit a head that takes weight from keys (GPT-OSS)")
    attn_scale: PositiveFloat | None = Field(default=None, description="factor on q.k; default head_dim^-0.5")
    attn_softcap: PositiveFloat | None = Field(default=None, description="c in c tanh(logits / c)")
    attn_temperature_len: PositiveInt | None = Field(
        default=None, description="beyond this position logits grow with log2(position) / log2(len) (Grok-2)"
    )

    tied_embeddings: bool = False
    embedding_multiplier: PositiveFloat = 1.0
    output_multiplier: PositiveFloat = 1.0
    output_softcap: PositiveFloat | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.n_heads % self.n_kv_heads:
            raise ValueError(f"n_heads = {self.n_heads} is not a multiple of n_kv_heads = {self.n_kv_heads}")
        if self.head_dim % 2:
            raise ValueError(f"head_dim = {self.head_dim} is odd; rotary embeddings turn pairs of elements")
        if self.ffn_dim is None and self.moe is None:
            raise ValueError("neither ffn_dim nor [moe]: a layer needs a dense MLP, experts, or both")
        if self.moe and self.ffn_dim is None and self.n_dense_layers:
            raise ValueError(f"{self.n_dense_layers} layers without experts, but no ffn_dim for their dense MLP")
        if self.mla and self.head_dim != self.mla.qk_nope_head_dim + self.mla.qk_rope_head_dim:
            raise ValueError(f"head_dim = {self.head_dim} is not qk_nope_head_dim + qk_rope_head_dim of [mla]")
        if not (self.pre_norm or self.post_norm):
            raise ValueError("neither pre_norm nor post_norm: a block needs a norm before it, after it, or both")
        if self.rope_scaling and self.rope_yarn:
            raise ValueError("both rope_scaling and rope_yarn: rotary frequencies are stretched in one way")
        return self

    @property
    def n_moe_layers(self) -> int:
        """Layers with experts: every ``moe.every``-th after the first dense ones."""
        return max(self.n_layers - self.first_dense_layers, 0) // self.moe.every if self.moe else 0

    @property
    def n_dense_layers(self) -> int:
        """Layers whose feed-forward part is a dense MLP alone."""
        return self.n_layers - self.n_moe_layers

    @property
    def dense_beside_experts(self) -> bool:
        """Whether each layer with experts also has the dense branch (Grok-2): so if no layer is dense alone."""
        return self.moe is not None and self.ffn_dim is not None and self.n_dense_layers == 0

    def window_of(self, layer: int) -> int:
        """How many positions layer number ``layer`` sees, itself included; 0: all."""
        return self.attn_windows[layer % len(self.attn_windows)] if self.attn_windows else 0

    @property
    def attention_scale(self) -> float:
        """Factor on the attention logits."""
        return self.attn_scale if self.attn_scale is not None else self.head_dim**-0.5
