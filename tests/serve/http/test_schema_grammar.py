"""Which tokens a schema lets come, and that a whole answer keeps to it."""

import json
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kolossos.data.tokenizer import Tokenizer
from kolossos.serve.http.grammar import GrammarError, Grammars, SchemaGrammar

pytest.importorskip("llguidance")
VOCABULARY = 320
PERSON = {
    "type": "object",
    "properties": {"x": {"type": "integer", "minimum": 0, "maximum": 99}, "name": {"enum": ["fox", "dog"]}},
    "required": ["x", "name"],
    "additionalProperties": False,
}


def written(words: Tokenizer, grammar: SchemaGrammar, seed: int, most: int = 400) -> tuple[bytes, bool]:
    """A text of tokens by chance among those that may come; and whether it ended."""
    numbers, text = random.Random(seed), b""
    for _ in range(most):
        may = np.flatnonzero(grammar.allowed())
        token = int(numbers.choice(list(may)))
        if token in words.stop_ids:
            return text, True
        grammar.accept(token)
        text += words.token_bytes(token)
    return text, False


@pytest.fixture(scope="module")
def grammars(words: Tokenizer) -> Grammars:
    return Grammars(words, VOCABULARY)


@given(seed=st.integers(0, 2**32))
def test_an_answer_of_allowed_tokens_is_json_of_the_schema(words: Tokenizer, grammars: Grammars, seed: int) -> None:
    text, ended = written(words, grammars.make(PERSON, "x"), seed)
    assert ended
    value = json.loads(text)
    assert set(value) == {"x", "name"}
    assert 0 <= value["x"] <= 99
    assert value["name"] in ("fox", "dog")


def test_no_special_token_and_nothing_beyond_the_vocabulary_may_come_within(
    words: Tokenizer, grammars: Grammars
) -> None:
    grammar = grammars.make({"type": "object"}, "x")
    text = b""
    for token in words.encode('{"<|user|>": "🦊"}'):
        allowed = grammar.allowed()
        assert allowed.dtype == bool
        assert allowed.shape == (VOCABULARY,)
        assert not allowed[words.vocab_size :].any()
        assert not any(allowed[i] for i in words.special_tokens.values())
        assert allowed[token]
        grammar.accept(token)
        text += words.token_bytes(token)
    assert text.decode() == '{"<|user|>": "🦊"}'
    assert np.flatnonzero(grammar.allowed()).tolist() == [words.eos_id]
    grammar.accept(words.eos_id)


def test_every_end_token_may_end_an_answer(words: Tokenizer) -> None:
    other = Tokenizer(words._json_text)
    other.stop_ids |= {other.special_id("<|user|>")}
    grammar = Grammars(other, VOCABULARY).make({"const": 1}, "x")
    assert other.stop_ids.isdisjoint(np.flatnonzero(grammar.allowed()).tolist())
    grammar.accept(other.encode("1")[0])
    assert set(np.flatnonzero(grammar.allowed()).tolist()) == other.stop_ids


def test_grammars_of_the_same_schema_do_not_know_each_other(words: Tokenizer, grammars: Grammars) -> None:
    first, second = (grammars.make(PERSON, "x") for _ in range(2))
    before = second.allowed().copy()
    first.accept(words.encode("{")[0])
    assert (second.allowed() == before).all()
    assert not (first.allowed() == before).all()


def test_a_token_that_may_not_come_is_an_error(words: Tokenizer, grammars: Grammars) -> None:
    grammar = grammars.make(PERSON, "x")
    with pytest.raises(GrammarError, match="may not come"):
        grammar.accept(words.encode("x")[0])


def test_json_over_http_keeps_to_the_schema(start, words: Tokenizer) -> None:
    server = start()
    for seed in range(8):
        form = {"type": "json_schema", "json_schema": {"name": "p", "strict": True, "schema": PERSON}}
        choice = server.chat(response_format=form, seed=seed, max_tokens=200).json()["choices"][0]
        assert choice["finish_reason"] == "stop"
        assert set(json.loads(choice["message"]["content"])) == {"x", "name"}
    text = {"format": {"type": "json_schema", "name": "p", "schema": PERSON}}
    answer = server.post("/v1/responses", input="x", text=text, max_output_tokens=200).json()
    assert set(json.loads(answer["output"][0]["content"][0]["text"])) == {"x", "name"}
    free = server.chat(response_format={"type": "json_object"}, max_tokens=60, logit_bias={"5": 1}).json()
    assert free["choices"][0]["message"]["content"].lstrip().startswith("{")


def test_without_the_library_a_schema_is_refused_with_what_to_install(start, monkeypatch) -> None:
    import sys

    server = start()
    monkeypatch.setitem(sys.modules, "llguidance", None)
    answer = server.chat(response_format={"type": "json_object"})
    assert answer.status_code == 400
    assert "kolossos[serve]" in answer.json()["error"]["message"]
    assert server.chat(max_tokens=2).status_code == 200
