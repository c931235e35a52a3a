"""A folder's vectors are those of transformers by hand, in any company, pooled and prompted as the folder says."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from kolossos.errors import InputError
from kolossos.ground.embed import Embedder, identity_of

TEXTS = ["whale ship", "the captain of a ship in a storm at night with an anchor", "wave " * 100]


def by_hand(folder: Path, text: str, first: bool = False) -> np.ndarray:
    """One text through transformers, pooled and normalised in plain numpy."""
    import torch
    from transformers import AutoModel, AutoTokenizer

    tokens = AutoTokenizer.from_pretrained(folder)(text, truncation=True, max_length=48)["input_ids"]
    with torch.inference_mode():
        states = AutoModel.from_pretrained(folder).eval()(torch.tensor([tokens])).last_hidden_state[0].numpy()
    pooled = states[0] if first else states.mean(0)
    return pooled / np.linalg.norm(pooled)


@pytest.fixture
def folder(model_folder, tmp_path) -> Path:
    return shutil.copytree(model_folder, tmp_path / "model")


def test_vectors_are_those_by_hand_in_any_company(folder) -> None:
    together = Embedder(folder).passages(TEXTS)
    assert together.shape == (3, 32)
    assert np.linalg.norm(together, axis=1) == pytest.approx(1, abs=1e-6)
    for text, vector in zip(TEXTS, together, strict=True):
        assert vector == pytest.approx(by_hand(folder, text), abs=1e-5)
        assert vector == pytest.approx(Embedder(folder).queries([text])[0], abs=1e-5)
    assert Embedder(folder).passages([]).shape == (0, 32)
    assert not Embedder(folder).passages(["", "whale"])[0].any()


def test_the_folder_says_how_to_pool_and_what_to_put_before(folder) -> None:
    (folder / "1_Pooling/config.json").write_text('{"pooling_mode_cls_token": true, "pooling_mode_mean_tokens": false}')
    prompts = {"prompts": {"query": "island ", "passage": "light "}}
    (folder / "config_sentence_transformers.json").write_text(json.dumps(prompts))
    embedder = Embedder(folder)
    assert embedder.queries(["map"])[0] == pytest.approx(by_hand(folder, "island map", first=True), abs=1e-5)
    assert embedder.passages(["map"])[0] == pytest.approx(by_hand(folder, "light map", first=True), abs=1e-5)


def test_another_model_has_another_identity(folder) -> None:
    before = identity_of(folder)
    assert Embedder(folder).identity == before
    (folder / "sentence_bert_config.json").write_text('{"max_seq_length": 12}')
    assert identity_of(folder) != before


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("1_Pooling/config.json", '{"pooling_mode_max_tokens": true}', "pools by max_tokens"),
        ("1_Pooling/config.json", "{", "is not JSON"),
        ("model.safetensors", None, "holds no model.safetensors"),
        ("model.safetensors", "no weights", "no embedding model that transformers reads"),
        ("config.json", '{"model_type": "nothing"}', "no embedding model that transformers reads"),
    ],
)
def test_a_folder_that_cannot_be_used_is_refused_in_one_line(folder, name, content, message) -> None:
    (folder / name).unlink() if content is None else (folder / name).write_text(content)
    with pytest.raises(InputError, match=message) as refused:
        Embedder(folder)
    assert "\n" not in str(refused.value)
