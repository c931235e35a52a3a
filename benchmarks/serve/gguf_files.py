"""The contest's models as llama.cpp reads them: F32, and Q8_0 by llama.cpp's own quantisation.

    $KOLOSSOS_PEERS/llama/bin/python benchmarks/serve/gguf_files.py FOLDER [MODEL ...]

Run by the environment of llama-cpp-python, which has no torch. Files that are there already stay. Names of tensors and
keys are those of the GGUF format (ggml-org/ggml docs/gguf.md); llama.cpp keeps Mixtral under "llama", its experts
stacked, and turns neighbouring elements of a head where Hugging Face turns the two halves against each other.
"""

import json
import re
import sys
from pathlib import Path

import gguf  # pyright: ignore[reportMissingImports]
import numpy as np
from contest import CONTEXT, SHAPES, Shape
from safetensors import safe_open

ARCHITECTURE = "llama"
PLAIN = {
    "model.embed_tokens": "token_embd",
    "model.norm": "output_norm",
    "lm_head": "output",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "block_sparse_moe.gate": "ffn_gate_inp",
}
EXPERTS = {"w1": "ffn_gate_exps", "w3": "ffn_up_exps", "w2": "ffn_down_exps"}
NORMAL, CONTROL = 1, 3


def main(folder: Path, models: list[str]) -> None:
    for name in models or SHAPES:
        plain, small = folder / f"{name}-f32.gguf", folder / f"{name}-q8_0.gguf"
        if not plain.exists():
            write(folder / name, SHAPES[name], plain)
        if not small.exists():
            quantise(plain, small)
        print(plain, small)


def write(folder: Path, shape: Shape, out: Path) -> None:
    unfinished = out.with_suffix(".unfinished")
    writer = gguf.GGUFWriter(unfinished, ARCHITECTURE)
    describe(writer, shape)
    add_tokenizer(writer, json.loads((folder / "tokenizer.json").read_text(encoding="utf-8")))
    with safe_open(folder / "model.safetensors", framework="numpy") as weights:
        for name in weights.keys():  # noqa: SIM118
            if ".experts." not in name:
                add_tensor(writer, name, weights.get_tensor(name), shape)
        for layer in range(shape.n_layers if shape.n_experts else 0):
            for theirs, stacked in EXPERTS.items():
                names = [
                    f"model.layers.{layer}.block_sparse_moe.experts.{e}.{theirs}.weight" for e in range(shape.n_experts)
                ]
                writer.add_tensor(f"blk.{layer}.{stacked}.weight", np.stack([weights.get_tensor(n) for n in names]))
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
    unfinished.rename(out)


def describe(writer: gguf.GGUFWriter, shape: Shape) -> None:
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(shape.dim)
    writer.add_block_count(shape.n_layers)
    writer.add_feed_forward_length(shape.ffn_dim)
    writer.add_head_count(shape.n_heads)
    writer.add_head_count_kv(shape.n_kv_heads)
    writer.add_key_length(shape.head_dim)
    writer.add_value_length(shape.head_dim)
    writer.add_rope_dimension_count(shape.head_dim)
    writer.add_rope_freq_base(shape.rope_theta)
    writer.add_layer_norm_rms_eps(shape.norm_eps)
    writer.add_vocab_size(shape.vocab_size)
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    if shape.n_experts:
        writer.add_expert_count(shape.n_experts)
        writer.add_expert_used_count(shape.experts_per_token)


def add_tokenizer(writer: gguf.GGUFWriter, tokenizer: dict) -> None:
    """The vocabulary; the contest gives token ids, so the rule that splits texts is not asked."""
    special = {token["content"] for token in tokenizer["added_tokens"]}
    ids = tokenizer["model"]["vocab"] | {token["content"]: token["id"] for token in tokenizer["added_tokens"]}
    names = sorted(ids, key=ids.__getitem__)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(names)
    writer.add_token_types([CONTROL if name in special else NORMAL for name in names])
    writer.add_token_merges([m if isinstance(m, str) else " ".join(m) for m in tokenizer["model"]["merges"]])
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(0)


def add_tensor(writer: gguf.GGUFWriter, name: str, values: np.ndarray, shape: Shape) -> None:
    bare = name.removesuffix(".weight")
    found = re.fullmatch(r"model\.layers\.(\d+)\.(.+)", bare)
    ours = f"blk.{found[1]}.{PLAIN[found[2]]}" if found else PLAIN[bare]
    if ours.endswith(("attn_q", "attn_k")):
        values = neighbours(values, shape.head_dim)
    writer.add_tensor(f"{ours}.weight", values)


def neighbours(weight: np.ndarray, head_dim: int) -> np.ndarray:
    """Rows reordered so that elements i and i + head_dim / 2 of every head stand side by side."""
    heads = weight.reshape(-1, 2, head_dim // 2, weight.shape[1])
    return np.ascontiguousarray(heads.swapaxes(1, 2).reshape(weight.shape))


def quantise(plain: Path, out: Path) -> None:
    import llama_cpp  # pyright: ignore[reportMissingImports]

    wanted = llama_cpp.llama_model_quantize_default_params()
    wanted.ftype, wanted.nthread = llama_cpp.LLAMA_FTYPE_MOSTLY_Q8_0, 1
    unfinished = out.with_suffix(".unfinished")
    code = llama_cpp.llama_model_quantize(str(plain).encode(), str(unfinished).encode(), wanted)
    if code:
        raise RuntimeError(f"llama_model_quantize says {code}")
    unfinished.rename(out)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
