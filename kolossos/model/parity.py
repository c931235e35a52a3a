"""Parity with xAI's published Grok-1: ``python -m kolossos.model.parity FILE.npz`` prints one JSON line.

A file holds `tokens`, the reference's `logits`, its `config` (JSON) and its parameters under haiku names (``p:...``).
The reference rounds to bfloat16 in two places whatever its dtype: the gates and the combined output of the experts,
and the contribution after the last norm of each layer, which haiku's norm returns in the rounded dtype. Those two
roundings are emulated here by hooks; the model itself does not round. It also masks keys whose token is the pad token.
"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from kolossos.errors import InputError
from kolossos.model.decoder import Decoder, Layer
from kolossos.model.experts.routing import Routing
from kolossos.specs.model import ModelSpec, MoESpec


def spec_from_reference(config: dict[str, Any]) -> ModelSpec:
    """The ModelSpec of a reference config (the fields of xAI's TransformerConfig and LanguageModelConfig)."""
    ffn = int(config["widening_factor"] * config["emb_size"]) * 2 // 3
    return ModelSpec(
        name="reference",
        n_layers=config["num_layers"],
        dim=config["emb_size"],
        n_heads=config["num_q_heads"],
        n_kv_heads=config["num_kv_heads"],
        head_dim=config["key_size"],
        vocab_size=config["vocab_size"],
        max_seq_len=config["sequence_len"],
        moe=MoESpec(
            n_experts=config["num_experts"], top_k=config["num_selected_experts"], expert_dim=ffn + (8 - ffn) % 8
        ),
        activation="gelu_tanh",
        post_norm=True,
        attn_scale=config["attn_output_multiplier"],
        attn_softcap=30.0,
        tied_embeddings=True,
        embedding_multiplier=config["embedding_multiplier_scale"],
        output_multiplier=config["output_multiplier_scale"],
    )


LAYER_NAMES = {
    "attention.query.weight": "multi_head_attention/query/w",
    "attention.key.weight": "multi_head_attention/key/w",
    "attention.value.weight": "multi_head_attention/value/w",
    "attention.output.weight": "multi_head_attention/linear/w",
    "moe.router.weight": "router/w",
    "moe.experts.gate": "moe/linear/w",
    "moe.experts.up": "moe/linear_v/w",
    "moe.experts.down": "moe/linear_1/w",
    "attention_norm.weight": "rms_norm/scale",
    "attention_post_norm.weight": "rms_norm_1/scale",
    "ffn_norm.weight": "rms_norm_2/scale",
    "ffn_post_norm.weight": "rms_norm_3/scale",
}


def haiku_name(name: str) -> str:
    """Our parameter name -> the reference's."""
    if name == "embedding.weight":
        return "language_model/in_out_embed/embeddings"
    if name == "norm.weight":
        return "language_model/rms_norm/scale"
    _, layer, rest = name.split(".", 2)
    return f"transformer/decoder_layer_{layer}/{LAYER_NAMES[rest]}"


def load_reference(file: Path) -> tuple[Decoder, Tensor, Tensor, int]:
    """The model with the reference's weights in fp64, tokens [B, S], logits [B, S, V], and the pad token."""
    try:
        with np.load(file, allow_pickle=False) as archive:
            arrays = {key: archive[key] for key in archive.files}
    except (OSError, ValueError) as error:
        raise InputError(f"{file}: not a readable .npz of reference vectors: {error}") from None
    try:
        config = json.loads(str(arrays["config"]))
        model = Decoder(spec_from_reference(config)).double()
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                value = torch.from_numpy(arrays["p:" + haiku_name(name)])
                # haiku multiplies x W, ours x W^T; expert tensors are [E, in, out] in both
                transposed = value.t() if value.ndim == 2 and name != "embedding.weight" else value
                parameter.copy_(transposed.reshape(parameter.shape))
        tokens = torch.from_numpy(arrays["tokens"]).long()
        return model, tokens, torch.from_numpy(arrays["logits"]).double(), config["pad_token"]
    except KeyError as error:
        raise InputError(f"{file}: {error} is missing from the reference vectors") from None


def emulate_roundings(model: Decoder) -> None:
    """Attach hooks that round to bf16 where the reference does."""

    def bf16(x: Any) -> Any:
        return x.bfloat16().to(x.dtype)

    def round_gates(_module: Any, _inputs: Any, routing: Routing) -> Routing:
        routing.gates_NC = bf16(routing.gates_NC)
        return routing

    for layer in model.layers:
        assert isinstance(layer, Layer)
        assert layer.moe is not None
        assert layer.ffn_post_norm is not None
        layer.moe.router.register_forward_hook(round_gates)
        layer.moe.register_forward_hook(lambda _m, _i, out: (bf16(out[0]), out[1]))
        layer.ffn_post_norm.register_forward_hook(lambda _m, _i, out: bf16(out))


@torch.no_grad()
def compare(file: Path) -> dict[str, Any]:
    """Largest and mean absolute difference of the logits, computed in fp64 with the roundings emulated."""
    model, tokens_BS, expected_BSV, pad_token = load_reference(file)
    emulate_roundings(model)
    length = tokens_BS.shape[1]
    causal = torch.ones(length, length, dtype=torch.bool).tril()
    allowed_BST = causal & (tokens_BS != pad_token)[:, None, :]
    hidden, _ = model(tokens_BS, dtype=torch.float64, allowed_BST=allowed_BST)
    difference = (model.logits(hidden) - expected_BSV).abs()
    return {
        "file": file.name,
        "max_abs_diff": difference.max().item(),
        "mean_abs_diff": difference.mean().item(),
        "logits": difference.numel(),
    }


def main() -> int:
    if len(sys.argv) != 2:
        print("error: usage: python -m kolossos.model.parity FILE.npz", file=sys.stderr)
        return 2
    try:
        print(json.dumps(compare(Path(sys.argv[1]))))
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
