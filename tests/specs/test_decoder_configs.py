"""Shapes of config.json files: priced, with the parameter counts of transformers' networks, or refused by name."""

import json
import re
from pathlib import Path

import pytest
from networks import network_of

from kolossos.errors import InputError
from kolossos.specs.counts import attention_flops_per_token, count_parameters
from kolossos.specs.huggingface import spec_from_config

ENTRIES = json.loads((Path(__file__).parent / "data/decoder_configs.json").read_text(encoding="utf-8"))
ENTRIES.pop("_about")
WITHOUT_NETWORK = {  # transformers builds none from these files
    "Qwen3-VL-30B-A3B-Instruct", "Qwen3-VL-4B-Instruct", "MiMo-7B-Base", "Llama-3_3-Nemotron-Super-49B-v1",
    "Step-3.7-Flash", "Sarvam-30B", "Sarvam-105B", "EXAONE-4-32B",
    "LongCat-Flash",  # it allocates experts that do nothing
}  # fmt: skip
BUILT = sorted(set(ENTRIES) - WITHOUT_NETWORK)
LARGEST_DEVIATION = 1e-4
IN_A_NAME = re.compile(r"-A(\d+)B")


@pytest.mark.parametrize("name", BUILT)
def test_parameters_of_whole_files_are_those_of_transformers_network(name: str) -> None:
    network = network_of(ENTRIES[name]["config"])
    count = count_parameters(spec_from_config(ENTRIES[name]["config"], name)).total
    assert count == pytest.approx(sum(p.numel() for p in network.parameters()), rel=LARGEST_DEVIATION)


@pytest.mark.parametrize("name", [name for name in ENTRIES if IN_A_NAME.search(name)])
def test_active_parameters_are_about_those_of_the_models_name(name: str) -> None:
    """Names are whole billions, and not all count embeddings."""
    said = float(IN_A_NAME.search(name)[1])  # type: ignore[index]
    active = count_parameters(spec_from_config(ENTRIES[name]["config"], name)).active / 1e9
    assert abs(active - said) <= 1 + 0.05 * active


@pytest.mark.parametrize("name", ENTRIES)
def test_a_spec_written_as_toml_is_read_back_as_the_same(name: str, tmp_path: Path) -> None:
    import tomli_w

    from kolossos.specs.catalogue import load_model

    spec = spec_from_config(ENTRIES[name]["config"], "again")
    path = tmp_path / "again.toml"
    path.write_text(tomli_w.dumps(spec.model_dump(exclude={"name"}, exclude_defaults=True, exclude_none=True)))
    assert load_model(str(path)) == spec


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("voxtral-mini-3b", "the audio encoder (audio_config, about 0.64 B parameters)"),
        ("mistral-small-3.1", "the image encoder (vision_config, about 0.43 B parameters)"),
        ("llava-1.5-elided", "the image encoder (vision_config, of unknown size)"),
        ("MiniMax-M2.5", "3 layers that predict further tokens (counted apart, not in time and memory)"),
        ("DeepSeek-V3.2", "sparse attention (index_topk = 2048) is priced as full attention"),
    ],
)
def test_what_is_not_priced_is_named(name: str, said: str) -> None:
    assert said in spec_from_config(ENTRIES[name]["config"], name).not_priced


@pytest.mark.parametrize(
    ("config", "why"),
    [
        ({"architectures": ["DeepseekV4ForCausalLM"]}, "compresses keys in blocks"),
        ({"architectures": ["KimiK3ForConditionalGeneration"], "text_config": {}}, "outputs of earlier layers"),
        ({"architectures": ["Gemma3nForCausalLM"]}, "embeddings for each layer"),
    ],
)
def test_an_architecture_whose_numbers_would_be_wrong_is_refused_with_what_to_write(config: dict, why: str) -> None:
    with pytest.raises(InputError, match=rf"{why}.*can be written as TOML.*`kolossos models [a-z0-9.-]+` prints one"):
        spec_from_config(config, "x")


def test_a_class_that_nobody_knows_is_read_by_its_keys_and_says_so() -> None:
    llama = ENTRIES["phi4-shape"]["config"] | {"architectures": ["NewForCausalLM"], "model_type": "new"}
    spec = spec_from_config(llama, "x")
    assert count_parameters(spec) == count_parameters(spec_from_config(ENTRIES["phi4-shape"]["config"], "x"))
    assert "what NewForCausalLM may compute beyond its keys" in spec.not_priced[0]
    with pytest.raises(InputError, match="unknown, and so are its keys extra_mlp_size"):
        spec_from_config(llama | {"extra_mlp_size": 8}, "x")


def test_windows_and_states_are_not_counted_as_attention_to_everything() -> None:
    long = 131_072
    gpt_oss = spec_from_config(ENTRIES["gpt-oss-120b"]["config"], "x")
    full = gpt_oss.model_copy(update={"attn_windows": ()})
    ratio = attention_flops_per_token(gpt_oss, long) / attention_flops_per_token(full, long)
    assert ratio == pytest.approx(0.5, rel=3e-3)  # half of the layers see 128 tokens
    scout = spec_from_config(ENTRIES["Llama-4-Scout-17B-16E-Instruct"]["config"], "x")
    assert (scout.attn_windows, scout.attn_chunked) == ((8192, 8192, 8192, 0), True)
    mixed = spec_from_config(ENTRIES["Qwen3.5-35B-A3B"]["config"], "x")
    alone = attention_flops_per_token(mixed, 2 * long) / attention_flops_per_token(mixed, long)
    assert alone == pytest.approx(2.0, rel=0.01)  # only attention grows with the length
    states = sum(n * layer.recurrent.state_flops for layer, n in mixed.layers().items() if layer.recurrent)
    assert states == 30 * 6.0 * 32 * 128 * 128


def test_layers_are_said_as_plainly_as_they_can_be() -> None:
    """Windows in a pattern, dense layers first: only what differs in more has kinds."""
    plain = ("GLM-4.5", "gemma-2-27b", "Gemma-3-27B", "EXAONE-4-32B", "olmo3-32b-shape", "Step-3.7-Flash")
    specs = {name: spec_from_config(ENTRIES[name]["config"], name) for name in (*plain, "Jamba-v0.1", "LongCat-Flash")}
    assert not any(specs[name].layer_kinds for name in plain)
    assert (specs["GLM-4.5"].first_dense_layers, specs["gemma-2-27b"].attn_windows) == (3, (4096, 0))
    assert specs["Gemma-3-27B"].attn_windows == (1024,) * 5 + (0,)
    assert len(specs["Jamba-v0.1"].layer_pattern) == 8
    layers = list(specs["LongCat-Flash"].layers())
    assert [(layer.ffn_dim, layer.experts) for layer in layers] == [(12288, True), (12288, False)]
