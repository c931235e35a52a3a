"""Hugging Face's config.json as a ModelSpec, against transformers' network of the same config on the meta device."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from networks import network_of
from torch.utils.flop_counter import FlopCounterMode

from kolossos.errors import InputError
from kolossos.specs.catalogue import load_model
from kolossos.specs.counts import attention_flops_per_token, count_parameters
from kolossos.specs.huggingface import spec_from_config

CONFIGS = json.loads((Path(__file__).parent / "data/huggingface_configs.json").read_text(encoding="utf-8"))
CONFIGS.pop("_about")
SHAPE = ("n_layers", "dim", "n_heads", "n_kv_heads", "head_dim", "mla", "ffn_dim", "gated_mlp", "first_dense_layers")


@pytest.mark.parametrize("repository", CONFIGS)
def test_parameters_are_those_of_transformers_network(repository: str) -> None:
    config = CONFIGS[repository]["config"]
    network, spec = network_of(config), spec_from_config(config, repository)
    assert sum(p.numel() for p in network.parameters()) == count_parameters(spec).total


@pytest.mark.parametrize("repository", [r for r, entry in CONFIGS.items() if entry["catalogue"]])
def test_the_catalogue_has_the_same_shape(repository: str) -> None:
    entry = CONFIGS[repository]
    theirs, ours = spec_from_config(entry["config"], repository), load_model(entry["catalogue"])
    assert {key: getattr(ours, key) for key in SHAPE} == {key: getattr(theirs, key) for key in SHAPE}
    if ours.moe or theirs.moe:
        assert ours.moe is not None
        assert theirs.moe is not None
        widths = {"n_experts", "top_k", "expert_dim", "shared_dim", "every"}
        assert ours.moe.model_dump(include=widths) == theirs.moe.model_dump(include=widths)


@pytest.mark.parametrize(
    ("repository", "change"),
    [
        ("meta-llama/Llama-3.1-8B", {}),
        ("bigscience/bloom", {}),
        ("Qwen/Qwen2.5-7B", {}),
        ("deepseek-ai/DeepSeek-V3", {"first_k_dense_replace": 2}),  # latent attention, and no routing on meta
        ("deepseek-ai/DeepSeek-V3", {"first_k_dense_replace": 2, "q_lora_rank": None}),
    ],
)
def test_flops_are_those_of_transformers_network(repository: str, change: dict[str, Any]) -> None:
    """In two layers; transformers' eager attention multiplies every query with every key: the full count."""
    config = CONFIGS[repository]["config"] | change
    config["n_layer" if "n_layer" in config else "num_hidden_layers"] = 2
    spec = spec_from_config(config, repository)
    network, length = network_of(config), 48
    tokens = torch.zeros(1, length, dtype=torch.long, device="meta")
    mask = {} if "bloom" in repository else {"attention_mask": torch.zeros(1, 1, length, length, device="meta")}
    with FlopCounterMode(display=False) as counter:
        network(tokens, use_cache=False, **mask).logits.sum().backward()
    expected = 6 * count_parameters(spec).matmul_active + 3 * attention_flops_per_token(spec, length, causal=False)
    assert counter.get_total_flops() == pytest.approx(length * expected, rel=1e-4)


@pytest.mark.parametrize("name", ["grok-1", "grok-2", "mixtral-8x7b", "llama-3.1-405b", "tiny-dense"])
def test_what_the_network_exports_is_read_back_as_the_same_spec(name: str) -> None:
    from kolossos.model.huggingface.config import config_from_spec, spec_from_huggingface

    spec = load_model(name)
    config = json.loads(json.dumps(config_from_spec(spec, "bfloat16")))
    read = spec_from_config(config, name).model_copy(update={"source": spec.source})
    assert count_parameters(read) == count_parameters(spec)
    assert read.model_copy(update={"attn_scale": None}) == spec.model_copy(update={"attn_scale": None})
    assert spec_from_huggingface(config, name) == read.model_copy(update={"source": ""})


def test_grok_2_with_its_own_word_for_no_scaling_and_its_temperature() -> None:
    from kolossos.model.huggingface.config import config_from_spec, spec_from_huggingface

    config = config_from_spec(load_model("grok-2"), "bfloat16") | {"rope_type": "original"}
    spec = spec_from_huggingface(config, "grok-2")
    assert (spec.rope_scaling, spec.attn_temperature_len) == (None, 1024)
    with pytest.raises(InputError, match="rope type 'linear'"):
        spec_from_huggingface(config | {"rope_scaling": {"type": "linear", "factor": 2.0}})
    assert "rope linear" in spec_from_config(config | {"rope_scaling": {"type": "linear", "factor": 2.0}}, "x").source


def test_a_folder_or_a_file_can_be_given(tmp_path: Path) -> None:
    folder = tmp_path / "my-model"
    folder.mkdir()
    file = folder / "config.json"
    file.write_text(json.dumps(CONFIGS["openai/gpt-oss-20b"]["config"]))
    spec = load_model(str(folder))
    assert spec == load_model(str(file))
    assert spec.name == "my-model"
    assert (spec.attn_sinks, spec.attn_windows, spec.qkv_bias, spec.activation) == (
        True,
        (128, 0),
        True,
        "clamped_swiglu",
    )
    assert "not described here" not in spec.source
    file.rename(tmp_path / "other.json")
    assert load_model(str(tmp_path / "other.json")).name == "other"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"architectures": ["RwkvForCausalLM"], "model_type": "rwkv"}, "'RwkvForCausalLM' is not supported.*TOML"),
        ({"architectures": ["NewForCausalLM"], "model_type": "new", "second_mlp_size": 64}, "second_mlp_size.*TOML"),
        ({"architectures": None, "model_type": None}, "names no architecture"),
        ({"vocab_size": None}, "vocab_size"),
        ({"num_attention_heads": "many"}, "num_attention_heads"),
        ({"num_attention_heads": 0}, "num_attention_heads"),
        ({"num_attention_heads": 10**20}, "num_attention_heads"),
        ({"num_hidden_layers": 100_000}, "100,000 layers: expected at most"),
    ],
)
def test_bad_configs_are_one_clear_line(change: dict[str, Any], message: str, tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    file.write_text(json.dumps(CONFIGS["meta-llama/Llama-3.1-8B"]["config"] | change))
    with pytest.raises(InputError, match=message) as caught:
        load_model(str(file))
    assert str(file) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_key_is_named() -> None:
    config = CONFIGS["deepseek-ai/DeepSeek-V3"]["config"].copy()
    del config["kv_lora_rank"]
    with pytest.raises(InputError, match="key 'kv_lora_rank' is missing"):
        spec_from_config(config, "x")


@pytest.mark.parametrize(
    ("repository", "change", "message"),
    [
        ("Qwen/Qwen3-30B-A3B", {"layer_types": ["whatever"] * 48}, "layer_types: 'whatever'"),
        ("deepseek-ai/DeepSeek-V3", {"moe_layer_freq": [0, 1]}, "moe_layer_freq' has 2 entries for 61 layers"),
        ("facebook/opt-30b", {"word_embed_proj_dim": 512}, "word_embed_proj_dim"),
    ],
)
def test_layer_patterns_that_no_spec_holds_are_refused(repository: str, change: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        spec_from_config(CONFIGS[repository]["config"] | change, "x")


@pytest.mark.parametrize("text", ["", "[1, 2]", "{", "\0"])
def test_what_is_no_json_object_is_one_clear_line(text: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(InputError, match=r"config\.json"):
        load_model(str(tmp_path))
    with pytest.raises(InputError, match="No such file"):
        load_model(str(tmp_path / "none.json"))
