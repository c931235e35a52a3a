"""Names of tensors in Hugging Face folders, and which part of which parameter each one holds.

Grok's names are those of sgl-project/sglang@031ad4c python/sglang/srt/models/grok.py, which vllm-project/vllm@048a32c
vllm/model_executor/models/grok1.py reads too, for Grok-1 as for Grok-2, wherever config.json has
moe_intermediate_size. The older names of hpcai-tech/grok-1 (vllm-project/vllm@02082de, same path) are read here, never
written.

Expert matrices are stored one an expert as [out, in]; ours are [expert, in, out]. GPT-OSS stores them as we do, the
columns of gate and up in turn. Phi-3 stores queries, keys and values as one matrix, gate and up as another. Gemma's
norms multiply with one more than what is stored.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import accumulate

import torch
from torch import Tensor

from kolossos.model.decoder import Decoder
from kolossos.model.huggingface.layouts import (
    GEMMA2,
    GPT_OSS,
    GROK,
    LLAMA,
    MISTRAL,
    MIXTRAL,
    OLMO2,
    PHI3,
    QWEN2,
    QWEN3,
    QWEN3_MOE,
)

WEIGHTS_FILE = "model.safetensors"
INDEX_FILE = "model.safetensors.index.json"

PROJECTIONS = {"query": "q_proj", "key": "k_proj", "value": "v_proj", "output": "o_proj"}
ATTENTION = {
    f"attention.{ours}.{kind}": f"self_attn.{theirs}.{kind}"
    for ours, theirs in PROJECTIONS.items()
    for kind in ("weight", "bias")
}
QK_NORMS = {
    "attention.query_norm.weight": "self_attn.q_norm.weight",
    "attention.key_norm.weight": "self_attn.k_norm.weight",
}
DENSE_MLP = {f"mlp.{m}.{kind}": f"mlp.{m}_proj.{kind}" for m in ("gate", "up", "down") for kind in ("weight", "bias")}
EXPERTS = {
    "moe.router.weight": "block_sparse_moe.gate.weight",
    "moe.experts.gate": "block_sparse_moe.experts.{expert}.w1.weight",
    "moe.experts.up": "block_sparse_moe.experts.{expert}.w3.weight",
    "moe.experts.down": "block_sparse_moe.experts.{expert}.w2.weight",
}
QWEN_EXPERTS = {
    "moe.router.weight": "mlp.gate.weight",
    "moe.experts.gate": "mlp.experts.{expert}.gate_proj.weight",
    "moe.experts.up": "mlp.experts.{expert}.up_proj.weight",
    "moe.experts.down": "mlp.experts.{expert}.down_proj.weight",
}
GPT_OSS_PARTS = {
    "attention.sinks": "self_attn.sinks",
    "moe.router.weight": "mlp.router.weight",
    "moe.router.bias": "mlp.router.bias",
    "moe.experts.gate": "mlp.experts.gate_up_proj",
    "moe.experts.up": "mlp.experts.gate_up_proj",
    "moe.experts.down": "mlp.experts.down_proj",
    "moe.experts.gate_bias": "mlp.experts.gate_up_proj_bias",
    "moe.experts.up_bias": "mlp.experts.gate_up_proj_bias",
    "moe.experts.down_bias": "mlp.experts.down_proj_bias",
}
PHI_3_PARTS = {
    **dict.fromkeys([f"attention.{part}.weight" for part in ("query", "key", "value")], "self_attn.qkv_proj.weight"),
    "attention.output.weight": "self_attn.o_proj.weight",
    **dict.fromkeys(["mlp.gate.weight", "mlp.up.weight"], "mlp.gate_up_proj.weight"),
    "mlp.down.weight": "mlp.down_proj.weight",
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
NORMS_BEHIND = {
    "attention_post_norm.weight": "post_attention_layernorm.weight",
    "ffn_post_norm.weight": "post_feedforward_layernorm.weight",
}
GEMMA_NORMS = {
    "attention_norm.weight": "input_layernorm.weight",
    "ffn_norm.weight": "pre_feedforward_layernorm.weight",
    **NORMS_BEHIND,
}
LAYER_NAMES = {
    **dict.fromkeys([LLAMA, MISTRAL, QWEN2], ATTENTION | DENSE_MLP | TWO_NORMS),
    MIXTRAL: ATTENTION | EXPERTS | TWO_NORMS,
    QWEN3: ATTENTION | QK_NORMS | DENSE_MLP | TWO_NORMS,
    QWEN3_MOE: ATTENTION | QK_NORMS | QWEN_EXPERTS | TWO_NORMS,
    OLMO2: ATTENTION | QK_NORMS | DENSE_MLP | NORMS_BEHIND,
    GEMMA2: ATTENTION | DENSE_MLP | GEMMA_NORMS,
    PHI3: PHI_3_PARTS | TWO_NORMS,
    GPT_OSS: ATTENTION | GPT_OSS_PARTS | TWO_NORMS,
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
class Piece:
    """What one parameter, or the transposed matrix of one ``expert`` in it, is of a stored tensor."""

    parameter: str
    expert: int | None
    place: tuple[slice, ...]

    def view(self, value: Tensor) -> Tensor:
        """The part of the parameter's ``value`` that is stored, in the stored orientation; shares memory."""
        return value if self.expert is None else value[self.expert].t()


@dataclass(frozen=True)
class StoredTensor:
    """One tensor of a folder. ``missing`` is what its values lack to be the parameters'."""

    name: str
    shape: tuple[int, ...]
    pieces: tuple[Piece, ...]
    missing: float = 0.0

    def load(self, stored: Tensor, parameters: Mapping[str, Tensor]) -> None:
        """Copy what is stored into the parameters."""
        for piece in self.pieces:
            target = piece.view(parameters[piece.parameter])
            target.copy_(stored[piece.place])
            if self.missing:
                target.add_(self.missing)

    def made_of(self, parameters: Mapping[str, Tensor], dtype: torch.dtype) -> Tensor:
        """What is to be stored, in memory of its own on the CPU."""
        value = torch.empty(self.shape, dtype=dtype)
        for piece in self.pieces:
            part = piece.view(parameters[piece.parameter])
            value[piece.place] = (part - self.missing if self.missing else part).to("cpu", dtype)
        return value


def stored_tensors(model: Decoder, architecture: str) -> Iterator[StoredTensor]:
    """Every tensor of the model in its layout (parameters may be on the meta device)."""
    shared: dict[str, list[tuple[str, tuple[int, ...]]]] = {}
    for parameter, value in model.named_parameters():
        shape, name = tuple(value.shape), _stored_name(parameter, architecture)
        if "{expert}" in name:
            experts, inner, outer = shape
            for expert in range(experts):
                yield _whole(name.format(expert=expert), parameter, (outer, inner), expert)
        else:
            shared.setdefault(name, []).append((parameter, shape))
    for name, members in shared.items():
        if len(members) > 1:
            yield _joined(name, members, in_turn=architecture == GPT_OSS)
        else:
            missing = 1.0 if architecture == GEMMA2 and "norm" in members[0][0] else 0.0
            yield _whole(name, *members[0], missing=missing)


def output_copy(model: Decoder) -> StoredTensor:
    """The embedding under the name of the output matrix, for servers that want it, tied or not."""
    return _whole(OUTPUT_NAME, "embedding.weight", tuple(model.embedding.weight.shape))


def _stored_name(parameter: str, architecture: str) -> str:
    if parameter in OUTER_NAMES:
        return OUTER_NAMES[parameter]
    _, layer, part = parameter.split(".", 2)
    return f"model.layers.{layer}.{LAYER_NAMES[architecture][part]}"


def _whole(
    name: str, parameter: str, shape: tuple[int, ...], expert: int | None = None, *, missing: float = 0.0
) -> StoredTensor:
    return StoredTensor(name, shape, (Piece(parameter, expert, ()),), missing)


def _joined(name: str, members: list[tuple[str, tuple[int, ...]]], *, in_turn: bool) -> StoredTensor:
    """Several parameters as one tensor: one above the other, or (``in_turn``) their columns in turn."""
    first = members[0][1]
    if in_turn:
        before = (slice(None),) * (len(first) - 1)
        pieces = [Piece(p, None, (*before, slice(i, None, len(members)))) for i, (p, _) in enumerate(members)]
        return StoredTensor(name, (*first[:-1], first[-1] * len(members)), tuple(pieces))
    ends = list(accumulate(shape[0] for _, shape in members))
    pieces = [
        Piece(parameter, None, (slice(end - shape[0], end),))
        for (parameter, shape), end in zip(members, ends, strict=True)
    ]
    return StoredTensor(name, (ends[-1], *first[1:]), tuple(pieces))


def current_name(name: str, architecture: str) -> str:
    """``name`` as it is today, if it is one of the older Grok names."""
    if architecture == GROK:
        for older, current in OLDER_GROK_NAMES.items():
            name = name.replace(older, current)
    return name
