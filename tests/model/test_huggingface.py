"""Folders in the Hugging Face layout: round trips of our own, and parity with transformers in both directions."""

import json
from pathlib import Path

import pytest
import torch
from huggingface_specs import DENSE, GROK_1, GROK_2, OURS, TOKENS, logits_of, model_of
from safetensors.torch import load_file, save_file

from kolossos.data.tokenizer import Tokenizer
from kolossos.model.huggingface import export_huggingface, load_huggingface
from kolossos.model.huggingface.layouts import server_notes
from kolossos.model.huggingface.names import OLDER_GROK_NAMES
from kolossos.specs.model import ModelSpec


@pytest.fixture(scope="module")
def tokenizer_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    Tokenizer.train(["the quick brown fox jumps over the lazy dog"] * 5, vocab_size=270).save(file)
    return file


@pytest.mark.parametrize("spec", [GROK_1, GROK_2, *OURS.values()], ids=["grok-1", "grok-2", *OURS])
@pytest.mark.parametrize("shard_bytes", [5_000_000_000, 20_000])
def test_exported_model_comes_back_with_the_same_logits(spec: ModelSpec, shard_bytes: int, tmp_path: Path) -> None:
    model = model_of(spec)
    export_huggingface(model, tmp_path / "out", None, dtype="float32", shard_bytes=shard_bytes)
    loaded = load_huggingface(tmp_path / "out")
    assert torch.equal(logits_of(loaded), logits_of(model))
    assert loaded.spec.model_copy(update={"name": spec.name}) == spec
    assert (tmp_path / "out/model.safetensors.index.json").exists() == (shard_bytes == 20_000)


def test_bfloat16_export_rounds_every_weight_once(tmp_path: Path) -> None:
    model = model_of(GROK_1)
    export_huggingface(model, tmp_path / "out", None)
    loaded = load_huggingface(tmp_path / "out")
    for name, parameter in model.named_parameters():
        assert torch.equal(loaded.get_parameter(name), parameter.bfloat16().float()), name


@pytest.mark.parametrize("name", OURS)
def test_transformers_reads_our_export_with_the_same_logits(name: str, tmp_path: Path, tokenizer_file: Path) -> None:
    transformers = pytest.importorskip("transformers")
    model = model_of(OURS[name])
    export_huggingface(model, tmp_path / "out", tokenizer_file, dtype="float32")
    theirs = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "out", dtype=torch.float32).eval()
    assert type(theirs).__name__ == ("MixtralForCausalLM" if OURS[name].moe else "LlamaForCausalLM")
    with torch.no_grad():
        difference = (theirs(TOKENS).logits - logits_of(model)).abs().max().item()
    assert difference <= 1e-5


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("kind", ["llama", "llama 3.1", "mixtral", "mixtral 3.1"])
def test_we_read_what_transformers_saves_with_the_same_logits(kind: str, tied: bool, tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    sizes = {
        "vocab_size": 96,
        "hidden_size": 64,
        "intermediate_size": 80,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 64,
        "tie_word_embeddings": tied,
        "initializer_range": 0.1,
    }
    if kind.endswith("3.1"):
        llama3 = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0}
        sizes["rope_parameters"] = {**llama3, "original_max_position_embeddings": 16, "rope_theta": 50_000.0}
    torch.manual_seed(0)
    if kind.startswith("llama"):
        theirs = transformers.LlamaForCausalLM(transformers.LlamaConfig(**sizes))
    else:
        theirs = transformers.MixtralForCausalLM(transformers.MixtralConfig(**sizes, num_local_experts=4))
    theirs.eval().save_pretrained(tmp_path / "theirs")
    ours = load_huggingface(tmp_path / "theirs")
    with torch.no_grad():
        assert (logits_of(ours) - theirs(TOKENS).logits).abs().max().item() <= 1e-5


def test_transformers_tokenizes_like_us_from_an_exported_folder(tmp_path: Path, tokenizer_file: Path) -> None:
    transformers = pytest.importorskip("transformers")
    export_huggingface(model_of(DENSE), tmp_path / "out", tokenizer_file)
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path / "out")
    ours = Tokenizer.load(tmp_path / "out")
    text = "The lazy dog\n  jumps: über 12345 foxes"
    assert theirs(text, add_special_tokens=False).input_ids == ours.encode(text)
    assert theirs.eos_token_id == ours.eos_id
    assert json.loads((tmp_path / "out/generation_config.json").read_text())["eos_token_id"] == ours.eos_id


def test_servers_find_groks_attributes_through_transformers_config(tmp_path: Path) -> None:
    """The values that vLLM and SGLang read with getattr from AutoConfig (sources in config.py)."""
    transformers = pytest.importorskip("transformers")
    export_huggingface(model_of(GROK_2), tmp_path / "out", None)
    config = transformers.AutoConfig.from_pretrained(tmp_path / "out")
    expected = {
        "architectures": ["Grok1ForCausalLM"],
        "num_local_experts": 4,
        "num_experts": 4,
        "num_experts_per_tok": 2,
        "intermediate_size": 96,
        "moe_intermediate_size": 40,
        "residual_moe": True,
        "moe_router_renormalize": False,
        "load_presharded_moe": False,
        "head_dim": 16,
        "attn_logit_softcapping": 30.0,
        "router_logit_softcapping": 30.0,
        "final_logit_softcapping": 50.0,
        "attn_temperature_len": 8,
        "embedding_multiplier_scale": 8.0,
        "output_multiplier_scale": 0.5,
        "tie_word_embeddings": False,
        "pad_token_id": None,
    }
    assert {key: getattr(config, key) for key in expected} == expected
    assert not hasattr(config, "attn_output_multiplier")
    assert config.rope_parameters == {"rope_type": "default", "rope_theta": 208_533_496.0}
    assert config.sliding_window is None


@pytest.mark.parametrize("spec", [GROK_1, GROK_2], ids=["grok-1", "grok-2"])
def test_transformers_refuses_an_exported_grok(spec: ModelSpec, tmp_path: Path) -> None:
    """It has no such network; opened as another it would make up norms and give other logits."""
    transformers = pytest.importorskip("transformers")
    export_huggingface(model_of(spec), tmp_path / "out", None)
    for auto in (transformers.AutoModelForCausalLM, transformers.AutoModel):
        with pytest.raises(ValueError, match="Unrecognized configuration class"):
            auto.from_pretrained(tmp_path / "out")


def test_what_servers_cannot_serve_of_an_export_is_said() -> None:
    assert any("vLLM" in note and "head_dim = 24" in note for note in server_notes(_changed(GROK_1, head_dim=24)))
    assert not any("cannot serve" in note for note in server_notes(GROK_1))
    assert server_notes(_changed(DENSE, head_dim=24)) == []


def _changed(spec: ModelSpec, **values: object) -> ModelSpec:
    return spec.model_copy(update=values)


def test_grok_tensors_have_the_names_that_sglang_reads(tmp_path: Path) -> None:
    export_huggingface(model_of(GROK_1), tmp_path / "out", None)
    tensors = load_file(tmp_path / "out/model.safetensors")
    layer = {name.removeprefix("model.layers.0."): list(t.shape) for name, t in tensors.items() if ".layers.0." in name}
    assert layer == {
        "self_attn.q_proj.weight": [64, 64],
        "self_attn.k_proj.weight": [32, 64],
        "self_attn.v_proj.weight": [32, 64],
        "self_attn.o_proj.weight": [64, 64],
        "block_sparse_moe.gate.weight": [4, 64],
        **{f"block_sparse_moe.experts.{e}.w1.weight": [40, 64] for e in range(4)},
        **{f"block_sparse_moe.experts.{e}.w3.weight": [40, 64] for e in range(4)},
        **{f"block_sparse_moe.experts.{e}.w2.weight": [64, 40] for e in range(4)},
        "pre_attn_norm.weight": [64],
        "post_attn_norm.weight": [64],
        "pre_moe_norm.weight": [64],
        "post_moe_norm.weight": [64],
    }
    outer = {name for name in tensors if ".layers." not in name}
    assert outer == {"model.embed_tokens.weight", "model.norm.weight", "lm_head.weight"}


def test_older_grok_1_folders_are_read(tmp_path: Path) -> None:
    """hpcai-tech/grok-1: attn, moe_block, linear / linear_v / linear_1, norm.scale, and other keys in config.json."""
    model = model_of(GROK_1)
    export_huggingface(model, tmp_path / "out", None, dtype="float32")
    file = tmp_path / "out/model.safetensors"
    older = {}
    for name, tensor in load_file(file).items():
        if "layers" in name:
            for old, current in OLDER_GROK_NAMES.items():
                name = name.replace(current, old)
        older[name] = tensor.clone()
    assert "model.layers.1.moe_block.experts.3.linear_v.weight" in older
    save_file(older, file)
    config = json.loads((tmp_path / "out/config.json").read_text())
    for key in ("num_local_experts", "moe_intermediate_size", "residual_moe", "attn_logit_softcapping", "rope_theta"):
        del config[key]
    config |= {"architectures": ["Grok1ModelForCausalLM"], "num_experts": 4, "max_attn_value": 30.0}
    config |= {"attn_output_multiplier": 0.25}
    (tmp_path / "out/config.json").write_text(json.dumps(config))
    assert torch.equal(logits_of(load_huggingface(tmp_path / "out")), logits_of(model))
