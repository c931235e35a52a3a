"""Folders in the Hugging Face layout: round trips of our own, and parity with transformers in both directions."""

import json
import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from kolossos.data.tokenizer import Tokenizer
from kolossos.errors import InputError
from kolossos.model.decoder import Decoder
from kolossos.model.huggingface import export_huggingface, load_huggingface, spec_from_huggingface
from kolossos.model.huggingface_config import config_from_spec
from kolossos.model.huggingface_names import OLDER_GROK_NAMES
from kolossos.model.init import initialize
from kolossos.specs.model import ModelSpec, MoESpec, RopeScaling

os.environ["HF_HUB_OFFLINE"] = "1"
torch.set_num_threads(1)

TOKENS = torch.randint(0, 96, (2, 24), generator=torch.Generator().manual_seed(5))
SIZES = {"n_layers": 2, "dim": 64, "n_heads": 4, "n_kv_heads": 2, "head_dim": 16, "vocab_size": 96, "max_seq_len": 64}
STRETCHED = RopeScaling(factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_seq_len=16)
DENSE = ModelSpec(name="dense", **SIZES, ffn_dim=96, rope_theta=50_000.0)
MIXTURE = ModelSpec(name="mixture", **SIZES, moe=MoESpec(n_experts=4, top_k=2, expert_dim=40, renormalize=True))
GROK_1 = ModelSpec(
    name="grok-1",
    **SIZES,
    moe=MoESpec(n_experts=4, top_k=2, expert_dim=40),
    activation="gelu_tanh",
    post_norm=True,
    attn_softcap=30.0,
    tied_embeddings=True,
    embedding_multiplier=8.0,
    output_multiplier=0.5773502691896257,
)
GROK_2 = ModelSpec(
    name="grok-2",
    **SIZES,
    ffn_dim=96,
    branch_scale=2**-0.5,
    moe=MoESpec(n_experts=4, top_k=2, expert_dim=40, router_softcap=30.0),
    activation="gelu_tanh",
    post_norm=True,
    attn_softcap=30.0,
    attn_temperature_len=8,
    embedding_multiplier=8.0,
    output_multiplier=0.5,
    output_softcap=50.0,
    rope_theta=208_533_496.0,
)
OURS = {
    "llama": DENSE,
    "llama tied": DENSE.model_copy(update={"tied_embeddings": True}),
    "llama 3.1": DENSE.model_copy(update={"rope_scaling": STRETCHED}),
    "llama, wide heads": DENSE.model_copy(update={"head_dim": 24}),
    "mixtral": MIXTURE,
    "mixtral, stretched": MIXTURE.model_copy(update={"rope_scaling": STRETCHED}),
}


def model_of(spec: ModelSpec) -> Decoder:
    return initialize(Decoder(spec), seed=3).eval()


@torch.no_grad()
def logits_of(model: Decoder) -> torch.Tensor:
    return model.logits(model(TOKENS)[0])


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
    """The values that vLLM and SGLang read with getattr from AutoConfig (sources in huggingface_config.py)."""
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


@pytest.mark.parametrize(
    ("spec", "change", "named"),
    [
        (DENSE, {"post_norm": True}, "post_norm"),
        (DENSE, {"attn_scale": 0.5}, "attn_scale = 0.5"),
        (DENSE, {"output_softcap": 50.0}, "output_softcap = 50.0"),
        (GROK_1, {"post_norm": False}, "Grok1ForCausalLM has no post_norm = False"),
        (GROK_1, {"rope_scaling": STRETCHED}, "rope_scaling"),
        (GROK_2, {"branch_scale": 1.0}, "branch_scale = 1.0"),
    ],
)
def test_a_model_that_no_layout_holds_is_refused_by_feature(spec: ModelSpec, change: dict, named: str) -> None:
    with pytest.raises(InputError, match=named):
        config_from_spec(spec.model_copy(update=change), "bfloat16")


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"architectures": ["GPT2LMHeadModel"]}, "GPT2LMHeadModel"),
        ({"attention_bias": True}, "attention_bias"),
        ({"sliding_window": 8}, "sliding_window"),
        ({"hidden_act": "relu"}, "relu"),
        ({"rope_scaling": {"rope_type": "yarn", "factor": 4.0}}, "yarn"),
        ({"quantization_config": {"bits": 4}}, "quantization_config"),
        ({"num_hidden_layers": "two"}, "n_layers"),
        ({"hidden_size": None}, "dim"),
    ],
)
def test_a_foreign_feature_in_config_json_is_one_clear_line(change: dict, named: str) -> None:
    with pytest.raises(InputError, match=named) as caught:
        spec_from_huggingface(config_from_spec(DENSE, "bfloat16") | change)
    assert "\n" not in str(caught.value)


def test_a_missing_key_in_config_json_is_named() -> None:
    config = config_from_spec(DENSE, "bfloat16")
    del config["vocab_size"]
    with pytest.raises(InputError, match="vocab_size"):
        spec_from_huggingface(config)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda t: t.pop("model.norm.weight"), "model.norm.weight missing"),
        (lambda t: t.update(extra=torch.zeros(1)), "extra unexpected"),
        (
            lambda t: t.update({"lm_head.weight": torch.zeros(2, 64)}),
            r"shape \[2, 64\]; config.json asks for \[96, 64\]",
        ),
        (lambda t: t.update({"model.norm.weight": torch.zeros(64, dtype=torch.int8)}), "quantized"),
    ],
)
def test_weights_that_do_not_fit_are_one_clear_line(damage, message: str, tmp_path: Path) -> None:
    export_huggingface(model_of(DENSE), tmp_path / "out", None)
    tensors = load_file(tmp_path / "out/model.safetensors")
    damage(tensors)
    save_file(tensors, tmp_path / "out/model.safetensors")
    with pytest.raises(InputError, match=message):
        load_huggingface(tmp_path / "out")


def test_a_tied_output_matrix_that_differs_is_refused(tmp_path: Path) -> None:
    export_huggingface(model_of(GROK_1), tmp_path / "out", None)
    tensors = load_file(tmp_path / "out/model.safetensors")
    save_file(tensors | {"lm_head.weight": tensors["lm_head.weight"] + 1}, tmp_path / "out/model.safetensors")
    with pytest.raises(InputError, match="differs from the embedding"):
        load_huggingface(tmp_path / "out")


def test_pickled_weights_are_refused(tmp_path: Path) -> None:
    export_huggingface(model_of(DENSE), tmp_path / "out", None)
    (tmp_path / "out/model.safetensors").rename(tmp_path / "out/pytorch_model.bin")
    with pytest.raises(InputError, match="can run code"):
        load_huggingface(tmp_path / "out")


@pytest.mark.parametrize("content", [b"", b"\x08" + bytes(7) + b"nonsense", b"\xff" * 64])
def test_truncated_weights_are_an_input_error(content: bytes, tmp_path: Path) -> None:
    export_huggingface(model_of(DENSE), tmp_path / "out", None)
    (tmp_path / "out/model.safetensors").write_bytes(content)
    with pytest.raises(InputError, match="cannot be read as safetensors"):
        load_huggingface(tmp_path / "out")


def test_a_missing_shard_is_named(tmp_path: Path) -> None:
    export_huggingface(model_of(DENSE), tmp_path / "out", None, shard_bytes=20_000)
    next(iter(sorted((tmp_path / "out").glob("model-00002-*")))).unlink()
    with pytest.raises(InputError, match="model-00002-of"):
        load_huggingface(tmp_path / "out")


def test_export_is_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full_disk(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("kolossos.model.huggingface_export.save_file", full_disk)
    with pytest.raises(InputError, match="no space left"):
        export_huggingface(model_of(DENSE), tmp_path / "out", None)
    assert list(tmp_path.iterdir()) == []


def test_existing_folders_are_overwritten_only_on_request_and_only_exports(tmp_path: Path) -> None:
    model = model_of(DENSE)
    export_huggingface(model, tmp_path / "out", None)
    with pytest.raises(InputError, match="exists already"):
        export_huggingface(model, tmp_path / "out", None)
    export_huggingface(model, tmp_path / "out", None, dtype="float32", overwrite=True)
    assert torch.equal(logits_of(load_huggingface(tmp_path / "out")), logits_of(model))
    (tmp_path / "photos").mkdir()
    with pytest.raises(InputError, match="no exported model"):
        export_huggingface(model, tmp_path / "photos", None, overwrite=True)
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["out", "photos"]
