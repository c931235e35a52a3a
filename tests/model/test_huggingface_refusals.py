"""What the Hugging Face layouts cannot hold, and folders that do not fit: one clear line each, nothing half written."""

from pathlib import Path

import pytest
import torch
from huggingface_specs import DENSE, GROK_1, GROK_2, STRETCHED, logits_of, model_of
from safetensors.torch import load_file, save_file

from kolossos.errors import InputError
from kolossos.model.huggingface import export_huggingface, load_huggingface, spec_from_huggingface
from kolossos.model.huggingface.config import config_from_spec
from kolossos.specs.model import ModelSpec


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
        ({"use_bidirectional_attention": True}, "use_bidirectional_attention"),
        ({"sliding_window": 8}, "sliding_window"),
        ({"hidden_act": "relu"}, "relu"),
        ({"rope_scaling": {"rope_type": "longrope", "factor": 4.0}}, "longrope"),
        ({"rope_scaling": {"rope_type": "yarn"}}, "factor"),
        ({"quantization_config": {"bits": 4}}, "quantization_config"),
        ({"num_hidden_layers": "two"}, "num_hidden_layers"),
        ({"hidden_size": None}, "hidden_size"),
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

    monkeypatch.setattr("kolossos.model.huggingface.export.save_file", full_disk)
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
