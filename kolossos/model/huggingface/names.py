"""Names of tensors in Hugging Face folders, and which part of which parameter each one holds.

Grok's names are those of sgl-project/sglang@031ad4c python/sglang/srt/models/grok.py, which vllm-project/vllm@048a32c
vllm/model_executor/models/grok1.py reads too, for Grok-1 as for Grok-2, wherever config.json has
moe_intermediate_size. The older names of hpcai-tech/grok-1 (vllm-project/vllm@02082de, same path) are read here, never
written.

Expert matrices are stored one an expert as [out, in]; ours are [expert, in, out].
"""

from collections.abc import Iterator
from dataclasses import dataclass

from torch import Tensor

from kolossos.model.decoder import Decoder
from kolossos.model.huggingface.config import GROK, LLAMA, MIXTRAL

WEIGHTS_FILE = "model.safetensors"
INDEX_FILE = "model.safetensors.index.json"

ATTENTION = {
    "attention.query.weight": "self_attn.q_proj.weight",
    "attention.key.weight": "self_attn.k_proj.weight",
    "attention.value.weight": "self_attn.v_proj.weight",
    "attention.output.weight": "self_attn.o_proj.weight",
}
DENSE_MLP = {
    "mlp.gate.weight": "mlp.gate_proj.weight",
    "mlp.up.weight": "mlp.up_proj.weight",
    "mlp.down.weight": "mlp.down_proj.weight",
}
EXPERTS = {
    "moe.router.weight": "block_sparse_moe.gate.weight",
    "moe.experts.gate": "block_sparse_moe.experts.{expert}.w1.weight",
    "moe.experts.up": "block_sparse_moe.experts.{expert}.w3.weight",
    "moe.experts.down": "block_sparse_moe.experts.{expert}.w2.weight",
}
TWO_NORMS = {
    "attention_norm.weight": "input_layernorm.weight",
    "ffn_norm.weight": "post_attention_layernorm.weight",
}
FOUR_NORMS = {
    "attention_norm.weight": "pre_attn_norm.weight",
    "attention_post_norm.weight": "post_attn_norm.weight",
    "ffn_norm.weight": "pre_moe_norm.weight",
    "ffn_post_norm.weight": "post_moe_norm.weight",
}
LAYER_NAMES = {
    LLAMA: ATTENTION | DENSE_MLP | TWO_NORMS,
    MIXTRAL: ATTENTION | EXPERTS | TWO_NORMS,
    GROK: ATTENTION | DENSE_MLP | EXPERTS | FOUR_NORMS,
}
OUTER_NAMES = {
    "embedding.weight": "model.embed_tokens.weight",
    "norm.weight": "model.norm.weight",
    "output.weight": "lm_head.weight",
}
OUTPUT_NAME = OUTER_NAMES["output.weight"]
OLDER_GROK_NAMES = {
    ".attn.": ".self_attn.",
    ".moe_block.": ".block_sparse_moe.",
    ".linear.": ".w1.",
    ".linear_v.": ".w3.",
    ".linear_1.": ".w2.",
    "norm.scale": "norm.weight",
}


@dataclass(frozen=True)
class StoredTensor:
    """One tensor of a folder: the whole of ``parameter``, or the matrix of one ``expert`` in it, transposed."""

    name: str
    parameter: str
    expert: int | None
    shape: tuple[int, ...]

    def view(self, value: Tensor) -> Tensor:
        """The part of the parameter's ``value`` that this tensor holds, in the stored orientation; shares memory."""
        return value if self.expert is None else value[self.expert].t()


def stored_tensors(model: Decoder, architecture: str) -> Iterator[StoredTensor]:
    """Every tensor of the model in its layout (parameters may be on the meta device)."""
    for parameter, value in model.named_parameters():
        if parameter in OUTER_NAMES:
            yield StoredTensor(OUTER_NAMES[parameter], parameter, None, tuple(value.shape))
            continue
        _, layer, part = parameter.split(".", 2)
        name = f"model.layers.{layer}.{LAYER_NAMES[architecture][part]}"
        if "{expert}" not in name:
            yield StoredTensor(name, parameter, None, tuple(value.shape))
            continue
        experts, inner, outer = value.shape
        for expert in range(experts):
            yield StoredTensor(name.format(expert=expert), parameter, expert, (outer, inner))


def current_name(name: str, architecture: str) -> str:
    """``name`` as it is today, if it is one of the older Grok names."""
    if architecture == GROK:
        for older, current in OLDER_GROK_NAMES.items():
            name = name.replace(older, current)
    return name
