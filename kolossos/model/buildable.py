"""Which ModelSpecs the network can build: a spec describes more than that, for planning."""

from kolossos.errors import InputError
from kolossos.specs.model import ModelSpec

SELDOM = {
    "layer_kinds": "layers of several kinds (layer_kinds)",
    "attn_gate": "a gate on attention (attn_gate)",
    "attn_chunked": "attention in chunks (attn_chunked)",
    "indexer": "sparse attention (indexer)",
    "parallel_block": "attention and MLP side by side (parallel_block)",
    "embedding_norm": "a norm of the embedding (embedding_norm)",
    "output_bias": "a bias of the output (output_bias)",
    "layer_input_dim": "embeddings of each layer (layer_input_dim)",
    "learned_positions": "learned positions (learned_positions)",
}
"""Features that are off where the spec does not name them."""


def obstacles(spec: ModelSpec) -> list[str]:
    """The features of ``spec`` that `kolossos.model.decoder.Decoder` does not have; empty if it can be built."""
    moe = spec.moe
    found: dict[str, bool] = {
        **{words: bool(getattr(spec, name)) for name, words in SELDOM.items()},
        "values of another width than keys (v_head_dim)": spec.v_head_dim not in (None, spec.head_dim),
        "several residual streams (residual_streams)": spec.residual_streams > 1,
        "partial rotary embeddings (rope_share)": spec.rope_share != 1.0,
        "norms with a bias or without a scale (norm_kind)": spec.norm_kind != "scale" or not spec.final_norm,
        "a gate on shared experts, idle experts, a latent width or a bias of the choice of experts (moe)": moe
        is not None
        and bool(moe.shared_gate or moe.n_idle or moe.latent_dim or moe.choice_bias),
        "latent attention ([mla])": spec.mla is not None,
        "a plain MLP of two matrices (gated_mlp = false)": not spec.gated_mlp,
        "shared experts (moe.shared_dim)": moe is not None and moe.shared_dim is not None,
        "dense first layers (first_dense_layers)": moe is not None and spec.first_dense_layers > 0,
        "layers without experts in between (moe.every)": moe is not None and moe.every > 1,
        "clamped_swiglu but in experts with biases": spec.activation == "clamped_swiglu"
        and (spec.ffn_dim is not None or moe is None or not moe.bias),
    }
    return [feature for feature, present in found.items() if present]


def require_buildable(spec: ModelSpec) -> None:
    """Raise InputError, naming each feature, if the network cannot build ``spec``."""
    if found := obstacles(spec):
        raise InputError(
            f"model {spec.name!r} can be planned and simulated, but not trained or served yet: "
            f"the network has no {', no '.join(found)}"
        )
