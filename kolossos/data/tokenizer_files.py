"""What a tokenizer.json and the tokenizer_config.json beside it say, put so that any text can be had back.

Two kinds are read: byte-level BPE (as GPT-2's), and BPE with byte fallback (SentencePiece's, as in Llama 2, Mistral
and Gemma), whose pieces write a space as U+2581 and what is in no piece as bytes, ``<0x0A>``. What of a file would lose
text or make it differ from call to call is switched off: normalizers (NFC and others), dropout, truncation, padding.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kolossos.errors import InputError
from kolossos.specs.tokens import CHAT_TOKENS, END_TOKENS

TOKENIZER_FILE = "tokenizer.json"
CONFIG_FILE = "tokenizer_config.json"
SPACE_MARK = "\u2581"
BYTE_PIECES = [f"<0x{byte:02X}>" for byte in range(256)]


@dataclass(frozen=True)
class TokenizerParts:
    """``bpe_json``: for the library. ``prefix``: what stands before the text of a document ("" or a space).

    begin_tokens: what the tokenizer's own template puts before a text.
    """

    bpe_json: str
    byte_fallback: bool
    prefix: str
    end_token: str
    begin_tokens: tuple[str, ...]


def read_parts(json_text: str, end_token: str | None = None) -> TokenizerParts:
    """The parts of a tokenizer.json; InputError for what is no such file, is of another kind, or has no end token."""
    try:
        values = json.loads(json_text)
        model, decoder = values["model"], values.get("decoder") or {}
        vocabulary = model["vocab"]
        added = {token["content"]: token for token in values.get("added_tokens") or []}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"not a tokenizer.json ({error!r})") from None
    byte_fallback = bool(model.get("byte_fallback"))
    if not byte_fallback and "ByteLevel" not in [step.get("type") for step in _steps(decoder, "decoders")]:
        raise InputError("not a byte-level BPE tokenizer (its decoder is not ByteLevel), nor one with byte fallback")
    if byte_fallback and (missing := _bytes_without_token(vocabulary)):
        raise InputError(f"a tokenizer with byte fallback, but without a token for {missing[0]}: it would lose text")
    end = _end_token(end_token, {*vocabulary, *added})
    for name in (end, *CHAT_TOKENS):  # a token that is not called special would be found in texts
        if name in added:
            added[name]["special"] = True
    prefix = _take_prefix(values)
    model["dropout"] = None
    values |= {"normalizer": _spaces_alone(values.get("normalizer")), "truncation": None, "padding": None}
    begin = _template_tokens(values.pop("post_processor", None))
    return TokenizerParts(json.dumps(values, ensure_ascii=False), byte_fallback, prefix, end, begin)


def read_config(folder: Path) -> dict[str, Any]:
    """tokenizer_config.json of ``folder``; nothing if there is none that can be read."""
    try:
        values = json.loads((folder / CONFIG_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return values if isinstance(values, dict) else {}


def named_token(config: dict[str, Any], key: str) -> str | None:
    """The text of the token under ``key``: a string, or an object that has it as ``content``."""
    value = config.get(key)
    value = value.get("content") if isinstance(value, dict) else value
    return value if isinstance(value, str) and value else None


def _bytes_without_token(vocabulary: dict[str, int]) -> list[str]:
    """Bytes that can be written neither as themselves nor (Gemma's tab) as the character they are."""
    needed = {piece for byte, piece in enumerate(BYTE_PIECES) if byte > 127 or chr(byte) not in vocabulary}
    return sorted(needed - vocabulary.keys())


def _end_token(asked: str | None, known: set[str]) -> str:
    if asked is not None:
        if asked not in known:
            raise InputError(f"its end token {asked!r} is no token of it")
        return asked
    found = next((name for name in END_TOKENS if name in known), None)
    if found is None:
        raise InputError(
            f"no end-of-text token in it; it needs one of {', '.join(END_TOKENS)}, or one that is named "
            f"(eos_token in a {CONFIG_FILE} beside it, or the option end_token)"
        )
    return found


def _steps(part: dict[str, Any] | None, key: str) -> list[dict[str, Any]]:
    """A normalizer, pre-tokenizer or decoder as the list of its steps."""
    if not part:
        return []
    return [step for inner in part[key] for step in _steps(inner, key)] if part.get("type") == "Sequence" else [part]


def _take_prefix(values: dict[str, Any]) -> str:
    """Switch off what puts a space before a text, and return it: `Tokenizer` does so itself, and can undo it."""
    prefix = ""
    for step in _steps(values.get("normalizer"), "normalizers"):
        if step["type"] == "Prepend":
            prefix = " "
    for step in _steps(values.get("pre_tokenizer"), "pretokenizers"):
        prepends = step.get("prepend_scheme", "always" if step.get("add_prefix_space") else "never") != "never"
        if step["type"] in ("Metaspace", "ByteLevel") and prepends:
            prefix = " "
        if step["type"] == "Metaspace":
            step["prepend_scheme"] = "never"
            step.pop("add_prefix_space", None)
        if step["type"] == "ByteLevel":
            step["add_prefix_space"] = False
    return prefix


def _spaces_alone(normalizer: dict[str, Any] | None) -> dict[str, Any] | None:
    """Of a normalizer what writes spaces as U+2581: that can be undone."""
    kept = [
        step
        for step in _steps(normalizer, "normalizers")
        if step["type"] == "Replace" and step.get("content") == SPACE_MARK and step.get("pattern") == {"String": " "}
    ]
    return kept[0] if kept else None


def _template_tokens(processor: dict[str, Any] | None) -> tuple[str, ...]:
    """The special tokens that a post-processor puts before a single text."""
    for step in _steps(processor, "processors"):
        names = []
        for piece in step.get("single") or []:
            if "SpecialToken" not in piece:
                break
            names.append(piece["SpecialToken"]["id"])
        if names:
            return tuple(names)
    return ()
