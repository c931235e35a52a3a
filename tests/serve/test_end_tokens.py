"""What a model folder says of the tokens that end and begin a text is done."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from kolossos.data.corpus.batches import Batch
from kolossos.data.tokenizer import Tokenizer
from kolossos.errors import InputError
from kolossos.model.decoder import Decoder
from kolossos.model.huggingface import export_huggingface
from kolossos.model.init import initialize
from kolossos.serve.complete import complete
from kolossos.serve.load import load_weights, run_tokenizer
from kolossos.serve.options import GenerationOptions
from kolossos.serve.score import _begun_with
from kolossos.specs.model import ModelSpec

GREEDY = GenerationOptions(max_new_tokens=12, temperature=0.0)


@pytest.fixture
def exported(tokenizer: Tokenizer, tmp_path: Path) -> Path:
    spec = ModelSpec(
        name="small", n_layers=1, dim=32, n_heads=4, n_kv_heads=2, head_dim=8, vocab_size=tokenizer.vocab_size,
        max_seq_len=64, ffn_dim=48,
    )  # fmt: skip
    tokenizer.save(tmp_path / "tokenizer.json")
    export_huggingface(initialize(Decoder(spec), seed=4), tmp_path / "out", tmp_path / "tokenizer.json", "float32")
    return tmp_path / "out"


def say(file: Path, **values: object) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | values))


@pytest.mark.parametrize("name", ["config.json", "generation_config.json"])
def test_generation_stops_at_each_of_a_list_of_end_tokens(name: str, exported: Path) -> None:
    (free,) = complete(*load_weights(exported, None, print), ["the quick"], GREEDY).completions
    assert free.finish == "max tokens"
    fourth = free.tokens[3]
    at = free.tokens.index(fourth)
    say(exported / name, eos_token_id=[0, fourth])
    (stopped,) = complete(*load_weights(exported, None, print), ["the quick"], GREEDY).completions
    assert (stopped.tokens, stopped.finish) == (free.tokens[: at + 1], "end token")
    say(exported / name, eos_token_id=[0, "x"])
    with pytest.raises(InputError, match="expected a token id or a list of them"):
        load_weights(exported, None, print)


def test_a_text_begins_with_the_one_token_that_the_tokenizer_config_names(exported: Path) -> None:
    _, ours = load_weights(exported, None, print)
    assert ours.encode_document("the") == [ours.eos_id, *ours.encode("the")]  # as a run trains
    say(exported / "tokenizer_config.json", add_bos_token=True, bos_token="<|user|>")
    _, other = load_weights(exported, None, print)
    assert other.encode_document("the") == [other.special_id("<|user|>"), *other.encode("the")]
    say(exported / "tokenizer_config.json", add_bos_token=False)
    assert load_weights(exported, None, print)[1].encode_document("the") == other.encode("the")
    assert run_tokenizer(exported / "tokenizer.json").encode_document("the")[0] == other.eos_id


def test_scoring_puts_the_begin_token_where_the_data_has_the_end_of_the_document_before() -> None:
    batch = Batch(np.array([[9, 1, 2, 9, 3]]), np.array([[1, 2, 9, 3, 4]]), None)
    assert _begun_with(9, 9, batch) is batch
    expected = replace(batch, tokens_BS=np.array([[7, 1, 2, 7, 3]]))
    made = _begun_with(7, 9, batch)
    assert (made.tokens_BS == expected.tokens_BS).all()
    assert (made.targets_BS == batch.targets_BS).all()
