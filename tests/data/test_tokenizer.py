"""Byte-level BPE: lossless for any text, deterministic, and deaf to special tokens spelled in plain text."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kolossos.data import tokenizer
from kolossos.data.tokenizer import END_OF_TEXT, MIN_VOCAB_SIZE, SPECIAL_TOKENS, StreamDecoder, Tokenizer
from kolossos.errors import InputError

TEXTS = ["def f(x):\n    return x + 1\n", "Ünïcode, 漢字 and 🙂 — all of it.", "for i in range(1000):\n\tprint(i)"] * 3
GPT4_PATTERN = (
    r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+"
)
TOKENIZER = Tokenizer.train(TEXTS, 320)

any_text = st.text() | st.lists(st.sampled_from([*SPECIAL_TOKENS, "\n    ", "🙂", "def", " ", "\x00", "́"])).map("".join)


@given(any_text)
def test_any_text_comes_back_and_holds_no_special_token(text: str) -> None:
    ids = TOKENIZER.encode(text)
    assert TOKENIZER.decode(ids) == text
    assert TOKENIZER.encode_batch([text, text]) == [ids, ids]
    assert not set(ids) & {TOKENIZER.special_id(name) for name in SPECIAL_TOKENS}


@given(any_text)
def test_streamed_pieces_join_to_the_text_and_are_never_half_a_character(text: str) -> None:
    decoder = StreamDecoder(TOKENIZER)
    pieces = [decoder.push(token_id) for token_id in TOKENIZER.encode(text)]
    assert "".join(pieces) == text
    assert decoder.flush() == ""


def test_stream_that_stops_inside_a_character_says_so() -> None:
    decoder = StreamDecoder(TOKENIZER)
    first_byte = TOKENIZER.encode("\U000e0001")[0]
    assert (decoder.push(first_byte), decoder.flush()) == ("", "�")


def test_special_tokens_have_the_first_ids_and_are_left_out_of_text() -> None:
    assert [TOKENIZER.special_id(name) for name in SPECIAL_TOKENS] == [0, 1, 2, 3]
    assert TOKENIZER.eos_id == 0
    ids = [*TOKENIZER.encode("a"), TOKENIZER.eos_id, TOKENIZER.vocab_size + 5]
    assert TOKENIZER.decode(ids) == "a"
    assert TOKENIZER.decode(ids, keep_special=True) == "a" + END_OF_TEXT


def test_training_twice_gives_the_same_tokenizer(source: Path) -> None:
    texts = [path.read_text() for path in sorted(source.rglob("*.py"))]
    assert Tokenizer.train(texts, 2000).sha256 == Tokenizer.train(texts, 2000).sha256


def test_split_pattern_takes_unseen_code_in_fewer_tokens_than_gpt4s(
    source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = [path.read_text() for path in sorted(source.glob("[jl]*/*.py"))]
    unseen = [path.read_text() for path in sorted(source.glob("wsgiref/*.py"))]

    def n_tokens() -> int:
        return sum(map(len, Tokenizer.train(texts, 1000).encode_batch(unseen)))

    ours = n_tokens()
    monkeypatch.setattr(tokenizer, "SPLIT_PATTERN", GPT4_PATTERN)
    assert ours < 0.97 * n_tokens()


def test_saved_and_loaded_is_the_same(tmp_path: Path) -> None:
    TOKENIZER.save(tmp_path)
    for place in (tmp_path, tmp_path / "tokenizer.json"):
        loaded = Tokenizer.load(place)
        assert (loaded.sha256, loaded.encode(TEXTS[0])) == (TOKENIZER.sha256, TOKENIZER.encode(TEXTS[0]))


def test_an_end_token_in_the_data_is_text_even_where_the_tokenizer_does_not_call_it_special() -> None:
    content = json.loads(TOKENIZER._json_text)
    for token in content["added_tokens"]:
        token["special"] = False
    unsafe = Tokenizer(json.dumps(content))
    for text in ("one<|endoftext|>two", "<|endoftext|>", "<|endoftext|><|endoftext|> <|endoftext|"):
        for ids in (unsafe.encode(text), unsafe.encode_batch([text, "other"])[0]):
            assert unsafe.eos_id not in ids
            assert unsafe.decode(ids) == text


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no tokenizer at"),
        ("{", "not a tokenizer.json"),
        (json.dumps({"model": {"type": "WordLevel", "vocab": {"a": 0}, "unk_token": "a"}}), "not a byte-level BPE"),
    ],
)
def test_unfit_tokenizer_files_are_named(content: str | None, message: str, tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(InputError, match=message) as caught:
        Tokenizer.load(path)
    assert str(path) in str(caught.value)


def test_vocabulary_too_small_for_the_bytes_is_refused() -> None:
    with pytest.raises(InputError, match=str(MIN_VOCAB_SIZE)):
        Tokenizer.train(TEXTS, MIN_VOCAB_SIZE - 1)
