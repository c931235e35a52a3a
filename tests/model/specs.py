"""Small specs that together have every feature of the decoder."""

from kolossos.specs.model import ModelSpec, MoESpec

SHAPE = {
    "n_layers": 2,
    "dim": 32,
    "n_heads": 4,
    "n_kv_heads": 2,
    "head_dim": 8,
    "vocab_size": 97,
    "max_seq_len": 256,
}


def grok_1_like() -> ModelSpec:
    return ModelSpec(
        name="grok-1-like",
        **SHAPE,
        moe=MoESpec(n_experts=4, top_k=2, expert_dim=24),
        activation="gelu_tanh",
        post_norm=True,
        attn_softcap=30.0,
        tied_embeddings=True,
        embedding_multiplier=32**0.5,
        output_multiplier=3**-0.5,
    )


def grok_2_like() -> ModelSpec:
    return ModelSpec(
        name="grok-2-like",
        **SHAPE,
        ffn_dim=40,
        moe=MoESpec(n_experts=4, top_k=2, expert_dim=24, router_softcap=30.0),
        branch_scale=2**-0.5,
        activation="gelu_tanh",
        post_norm=True,
        attn_softcap=30.0,
        attn_temperature_len=16,
        output_softcap=50.0,
        output_multiplier=0.5,
    )


def llama_like() -> ModelSpec:
    return ModelSpec(name="llama-like", **SHAPE, ffn_dim=48)


ALL = [grok_1_like(), grok_2_like(), llama_like()]
