"""Specs from a table of published architectures: complete ones are read, the others left out with the reason."""

import json
from pathlib import Path
from typing import Any

import pytest

from kolossos.errors import InputError
from kolossos.specs.counts import count_parameters
from kolossos.specs.from_models_json import ImportedModel, model_specs, read_models

DENSE: dict[str, Any] = {
    "hidden": 1024,
    "layers": 4,
    "heads": 8,
    "kv_heads": 2,
    "head_dim": 128,
    "ffn_hidden": 2816,
    "vocab": 32000,
    "gated_mlp": True,
    "attention_type": "gqa",
    "tied_embeddings": False,
    "seq_len_default": 4096,
    "source": "a paper",
}
EXPERTS = {"experts": 8, "top_k": 2, "moe_ffn_hidden": 512, "first_dense_layers": 0}
LATENT = {
    "attention_type": "mla",
    "head_dim": None,
    "q_lora_rank": None,
    "kv_lora_rank": 64,
    "qk_nope_head_dim": 32,
    "qk_rope_head_dim": 16,
    "v_head_dim": 32,
}


def read(tmp_path: Path, entry: Any, name: str = "new-1b") -> ImportedModel:
    file = tmp_path / "models.json"
    file.write_text(json.dumps({"models": {name: entry}}))
    (model,) = read_models(file).values()
    assert (name in model_specs(file)) == (model.spec is not None)
    return model


def test_a_complete_dense_model_is_read_as_it_stands(tmp_path: Path) -> None:
    model = read(tmp_path, DENSE)
    assert model.spec is not None
    assert model.assumed == ()
    assert model.spec.source == "a paper"
    table = 2 * 32000 * 1024
    layer = 1024 * (2 * 1024 + 2 * 256) + 3 * 1024 * 2816 + 2 * 1024
    assert count_parameters(model.spec).total == table + 4 * layer + 1024


def test_a_width_that_no_layer_has_is_no_dense_branch(tmp_path: Path) -> None:
    model = read(tmp_path, DENSE | EXPERTS)
    assert model.spec is not None
    assert model.spec.ffn_dim is None
    assert not model.spec.dense_beside_experts


def test_dense_layers_before_and_between_experts(tmp_path: Path) -> None:
    first = read(tmp_path, DENSE | EXPERTS | {"first_dense_layers": 1}).spec
    assert first is not None
    assert (first.n_dense_layers, first.n_moe_layers, first.ffn_dim) == (1, 3, 2816)
    between = read(tmp_path, DENSE | EXPERTS | {"extra": {"moe_layer_pattern": "[0,1]*2: alternating"}}).spec
    assert between is not None
    assert (between.n_dense_layers, between.n_moe_layers) == (2, 2)


def test_latent_attention_and_shared_experts(tmp_path: Path) -> None:
    spec = read(tmp_path, DENSE | EXPERTS | LATENT | {"shared_expert_ffn_hidden": 1024}).spec
    assert spec is not None
    assert spec.moe is not None
    assert (spec.head_dim, spec.n_kv_heads, spec.moe.shared_dim) == (48, 8, 1024)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"hidden": None, "layers": None}, "not known: hidden, layers"),
        ({"gated_mlp": None}, "not known: gated_mlp"),
        (EXPERTS | {"top_k": None}, "not known: top_k"),
        (LATENT | {"kv_lora_rank": None}, "not known: kv_lora_rank"),
        ({"extra": {"hybrid_override_pattern": "MEM*"}}, "state-space"),
        ({"extra": {"mamba_num_heads": 64}}, "state-space"),
        (EXPERTS | {"extra": {"moe_layer_pattern": "[1,0]*2"}}, "pattern of layers"),
        ({"heads": 7}, "n_heads = 7"),
        ({"layers": "four"}, "n_layers"),
        (EXPERTS | {"first_dense_layers": 1, "ffn_hidden": None}, "ffn_dim"),
    ],
)
def test_an_incomplete_model_is_left_out_with_the_reason(change: dict[str, Any], reason: str, tmp_path: Path) -> None:
    model = read(tmp_path, DENSE | change)
    assert model.spec is None
    assert reason in model.reason


def test_what_is_open_is_filled_by_family_and_said(tmp_path: Path) -> None:
    entry = DENSE | {"vocab": None, "tied_embeddings": None, "seq_len_default": None}
    gpt, other = read(tmp_path, entry, "vtrain-gpt-x").spec, read(tmp_path, entry, "new-1b")
    assert gpt is not None
    assert (gpt.vocab_size, gpt.tied_embeddings, gpt.max_seq_len) == (51200, True, 2048)
    assert other.spec is not None
    assert (other.spec.vocab_size, other.spec.tied_embeddings) == (51200, False)
    assert any("vocab = 51200" in line for line in other.assumed)


def test_the_longest_measured_sequence_stands_in_for_an_unknown_length(tmp_path: Path) -> None:
    file = tmp_path / "models.json"
    file.write_text(json.dumps({"models": {"new-1b": DENSE | {"seq_len_default": None}}}))
    spec = read_models(file, {"new-1b": 16384})["new-1b"].spec
    assert spec is not None
    assert spec.max_seq_len == 16384


def test_a_printed_vocabulary_of_250k_is_that_of_blooms_weights(tmp_path: Path) -> None:
    spec = read(tmp_path, DENSE | {"vocab": 250000}, "bloom-proto-x").spec
    assert spec is not None
    assert spec.vocab_size == 250880


@pytest.mark.parametrize("entry", [None, [], "x", {}])
def test_an_entry_that_is_no_architecture_is_left_out(entry: Any, tmp_path: Path) -> None:
    assert read(tmp_path, entry).spec is None


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"models": 3}'])
def test_a_file_without_the_table_is_one_clear_line(text: str, tmp_path: Path) -> None:
    file = tmp_path / "models.json"
    file.write_text(text)
    with pytest.raises(InputError, match='a table "models"'):
        model_specs(file)
    with pytest.raises(InputError, match="cannot be read"):
        model_specs(tmp_path / "none.json")
