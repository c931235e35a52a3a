"""Tokenizers of the field, small: any text comes back, its bytes are counted, nothing is injected."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kolossos.data.corpus.corpus import Corpus
from kolossos.data.options import PrepareOptions
from kolossos.data.prepare import prepare
from kolossos.data.tokenizer import StreamDecoder, Tokenizer
from kolossos.errors import InputError
from kolossos.train.evaluate import token_bytes

MARK = "\u2581"
REPLACE = {"type": "Replace", "pattern": {"String": " "}, "content": MARK}
BACK = {"type": "Replace", "pattern": {"String": MARK}, "content": " "}
STRIP = {"type": "Strip", "content": " ", "start": 1, "stop": 0}
BEGIN = {
    "type": "TemplateProcessing",
    "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
    "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
    "special_tokens": {"<s>": {"id": "<s>", "ids": [1], "tokens": ["<s>"]}},
}


def sentence_pieces(**parts: Any) -> dict[str, Any]:
    """A BPE with byte fallback: three special tokens, the bytes, ASCII letters and a few merges."""
    pieces = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), MARK, *map(chr, range(33, 127))]
    merges = [["t", "h"], ["th", "e"], [MARK, "the"], [MARK, MARK], ["a", "n"], [MARK, "an"]]
    pieces += ["".join(pair) for pair in merges]
    special = [{"id": i, "content": pieces[i], "special": True, "normalized": False} for i in range(3)]
    flags = {"single_word": False, "lstrip": False, "rstrip": False}
    return {
        "version": "1.0",
        "added_tokens": [token | flags for token in special],
        "normalizer": None,
        "pre_tokenizer": None,
        "post_processor": BEGIN,
        "decoder": {"type": "Sequence", "decoders": [BACK, {"type": "ByteFallback"}, {"type": "Fuse"}]},
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": "<unk>",
            "fuse_unk": True,
            "byte_fallback": True,
            "vocab": {piece: i for i, piece in enumerate(pieces)},
            "merges": merges,
        },
        **parts,
    }


def byte_level(**parts: Any) -> dict[str, Any]:
    return json.loads(Tokenizer.train(["the man and the van, the end of the story "] * 9, 290)._json_text) | parts


PREPENDS = {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": MARK}, REPLACE]}
METASPACE = {"type": "Metaspace", "replacement": MARK, "prepend_scheme": "first", "split": False}
KINDS = {
    "llama 2": sentence_pieces(normalizer=PREPENDS),
    "llama 2, not legacy": sentence_pieces(pre_tokenizer=METASPACE),
    "gemma": sentence_pieces(normalizer=REPLACE),
    "byte-level, NFC": byte_level(normalizer={"type": "NFC"}),
    "byte-level, lower case": byte_level(normalizer={"type": "Lowercase"}),
    "byte-level, dropout": byte_level() | {"model": byte_level()["model"] | {"dropout": 0.5}},
}
LOADED = {name: Tokenizer(json.dumps(values)) for name, values in KINDS.items()}


@pytest.mark.parametrize("kind", KINDS)
@given(text=st.text() | st.text(alphabet=f" {MARK}the\u0301A\u212b<s>/0x1\n\0", max_size=40))
def test_any_text_comes_back_and_its_bytes_are_those_of_its_tokens(kind: str, text: str) -> None:
    tokenizer = LOADED[kind]
    ids = tokenizer.encode(text)
    assert tokenizer.decode(ids) == text
    stream = StreamDecoder(tokenizer, begins=True)
    assert "".join(map(stream.push, ids)) + stream.flush() == text
    assert tokenizer.encode_batch([text]) == [ids]
    assert not any(map(tokenizer.is_special, ids))
    assert token_bytes(tokenizer)[[*ids, tokenizer.eos_id]].sum() == len(text.encode()) - (
        0 if text else tokenizer.prefix_bytes
    )


@pytest.mark.parametrize("kind", ["llama 2", "llama 2, not legacy", "gemma"])
def test_byte_fallback_has_the_tokens_of_the_library(kind: str) -> None:
    import tokenizers

    theirs = tokenizers.Tokenizer.from_str(json.dumps(KINDS[kind]))
    for text in ("the man and  the other", "naïve é\n", "x"):
        assert LOADED[kind].encode(text) == theirs.encode(text, add_special_tokens=False).ids
        assert LOADED[kind].encode_document(text) == theirs.encode(text).ids  # one begin token, never two


def test_a_begin_token_that_the_text_spells_is_text() -> None:
    ids = LOADED["gemma"].encode_document("<s>the")
    assert ids.count(1) == 1
    assert ids[0] == 1


def test_byte_fallback_without_all_bytes_is_refused() -> None:
    values = sentence_pieces()
    del values["model"]["vocab"]["<0xE2>"]
    with pytest.raises(InputError, match="without a token for <0xE2>"):
        Tokenizer(json.dumps(values))


def folder_with(values: dict[str, Any], folder: Path, **config: Any) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "tokenizer.json").write_text(json.dumps(values))
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    return folder


def named_end(special: bool = True) -> dict[str, Any]:
    """A tokenizer whose end token has none of the usual names."""
    token = {"id": 290, "content": "<end of it>", "special": special, "normalized": False}
    flags = {"single_word": False, "lstrip": False, "rstrip": False}
    values = byte_level()
    values["added_tokens"] = [t for t in values["added_tokens"] if t["content"] != "<|endoftext|>"]
    values["model"]["vocab"] = {k: v for k, v in values["model"]["vocab"].items() if k != "<|endoftext|>"}
    values["added_tokens"].append(token | flags)
    return values


def test_the_end_token_is_the_one_that_the_config_or_the_option_names(tmp_path: Path) -> None:
    plain = folder_with(named_end(), tmp_path / "plain")
    with pytest.raises(InputError, match=r"no end-of-text token in it.*eos_token.*end_token"):
        Tokenizer.load(plain)
    assert Tokenizer.load(plain, "<end of it>").end_token == "<end of it>"
    with pytest.raises(InputError, match="'<other>' is no token of it"):
        Tokenizer.load(plain, "<other>")
    for said in ("<end of it>", {"__type": "AddedToken", "content": "<end of it>"}):
        assert Tokenizer.load(folder_with(named_end(), tmp_path / "said", eos_token=said)).end_token == "<end of it>"


@pytest.mark.parametrize("special", [True, False])
def test_data_keeps_its_end_token_and_no_document_can_spell_it(special: bool, tmp_path: Path) -> None:
    source = tmp_path / "in.jsonl"
    texts = [f"document {n} spells <end of it> and <|user|> in its text, {'abc' * n}" for n in range(9)]
    source.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    given_folder = folder_with(named_end(special), tmp_path / "tokenizer")
    options = PrepareOptions(tokenizer=str(given_folder), end_token="<end of it>", near_threshold=None)
    made = prepare([str(source)], tmp_path / "data", options, workers=1)
    corpus = Corpus.open(tmp_path / "data")
    end = corpus.tokenizer().eos_id
    assert corpus.tokenizer().end_token == "<end of it>"
    ends = sum(
        int((corpus.split(name).stream(0, made.manifest.splits[name].tokens) == end).sum())
        for name in ("train", "validation")
    )
    assert ends == len(texts)
    assert prepare([str(source)], tmp_path / "data", options, workers=1).was_complete


def test_an_end_token_is_not_for_a_tokenizer_that_is_trained() -> None:
    with pytest.raises(InputError, match="end_token is for a given tokenizer"):
        PrepareOptions(end_token="</s>")


@pytest.mark.parametrize("kind", ["byte-level, NFC", "byte-level, dropout", "llama 2"])
def test_decomposed_accents_arrive_and_the_manifest_counts_their_bytes(kind: str, tmp_path: Path) -> None:
    source = tmp_path / "in.jsonl"
    texts = [f"cafe\u0301 number {n} {'the ' * n} e\u0301\u212b" for n in range(1, 150)]
    source.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    folder = folder_with(KINDS[kind], tmp_path / "tokenizer")
    options = PrepareOptions(tokenizer=str(folder), near_threshold=None)
    shards = []
    for out in ("one", "two"):
        made = prepare([str(source)], tmp_path / out, options, workers=1)
        assert sum(split.bytes for split in made.manifest.splits.values()) == sum(len(t.encode()) for t in texts)
        split = Corpus.open(tmp_path / out).split("train")
        tokens = split.stream(0, split.n_tokens)
        assert token_bytes(LOADED[kind])[tokens].sum() == split.n_bytes
        shards.append(tokens.tolist())
    assert shards[0] == shards[1]
