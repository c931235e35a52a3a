"""The share of an encoder of images or sound in a multimodal model: a transformer beside the language model."""

from typing import Any

from kolossos.errors import InputError
from kolossos.specs.huggingface.keys import Keys

TABLES = {
    "vision_config": "image encoder", "vit_config": "image encoder", "vision_model_config": "image encoder",
    "audio_config": "audio encoder", "audio_encoder_config": "audio encoder", "sound_config": "audio encoder",
    "speech_config": "audio encoder", "visual": "image encoder",
}  # fmt: skip
DIM = ("hidden_size", "embed_dim", "vt_hidden_size", "d_model", "width", "n_embd")
DEPTH = ("num_hidden_layers", "depth", "vt_num_hidden_layers", "encoder_layers", "layers", "num_layers", "n_layers")
FFN = ("intermediate_size", "vt_intermediate_size", "encoder_ffn_dim", "mlp_dim")


def encoders(config: dict[str, Any], text_dim: int) -> tuple[int, list[str]]:
    """Parameters of the encoders that config.json describes, and what to say of each."""
    total, said = 0, []
    for key, name in TABLES.items():
        table = config.get(key)
        if not isinstance(table, dict) or not table:
            continue
        size = _size(Keys(table), text_dim)
        total += size
        known = f", about {size / 1e9:.2g} B parameters" if size else ", of unknown size"
        said.append(f"the {name} ({key}{known})")
    return total, said


def _size(keys: Keys, text_dim: int) -> int:
    """Attention and MLP of each layer, patches, and two matrices into the language model; 0 if widths are missing."""
    try:
        dim, depth = keys.some(*DIM), keys.some(*DEPTH)
        ffn = keys.some(*FFN) or int(keys.number("mlp_ratio", default=4.0) * dim)
        patch = keys.get("patch_size")
        merged = keys.some("spatial_merge_size") or 1
        heads = keys.some("num_heads", "num_attention_heads") * keys.some("head_dim")
    except InputError:
        return 0
    if not dim or not depth:
        return 0
    attention = 4 * dim * (heads or dim)
    gated = 3 if keys.get("hidden_act") in ("silu", "swish") or keys.get("model_type") == "pixtral" else 2
    patches = 3 * patch * patch * dim if isinstance(patch, int) else 0
    joined = dim * merged * merged
    return depth * (attention + gated * dim * ffn) + patches + joined * text_dim + text_dim * text_dim
