"""BPE over bytes, or with byte fallback: any text in, the same text out, no unknown token.

Notable: pieces are split so that punctuation, the newline after it and the indentation of the next line may become one
token, which takes code in fewer tokens than the patterns of GPT-2 and GPT-4. Plain text never becomes a special token,
even if it spells one.
"""

import codecs
import hashlib
import json
import re
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path

from kolossos.data.option_error import OptionError
from kolossos.data.tokenizer_files import (
    BYTE_PIECES,
    CONFIG_FILE,
    SPACE_MARK,
    TOKENIZER_FILE,
    named_token,
    read_config,
    read_parts,
)
from kolossos.errors import InputError
from kolossos.files import write_whole
from kolossos.specs.tokens import CHAT_TOKENS, END_OF_TEXT, END_TOKENS

SPECIAL_TOKENS = (END_OF_TEXT, *CHAT_TOKENS)
MIN_VOCAB_SIZE = 256 + len(SPECIAL_TOKENS)

SPLIT_PATTERN = "|".join(
    [
        r"'(?i:[sdmt]|ll|ve|re)",  # English contractions
        r"[^\r\n\p{L}\p{N}]?+\p{L}+",  # a word with the space or sign before it
        r"\p{N}{1,3}",
        r" ?[^\s\p{L}\p{N}]++(?:\n\s*)?",  # punctuation, with the line break and indentation after it
        r"\s*\n\s*",  # blank lines and the indentation after them
        r"\s+(?!\S)",
        r"\s+",
    ]
)


class Tokenizer:
    """Text to token ids and back. ``sha256`` is that of the ``tokenizer.json`` file it was loaded from or saves.

    eos_id: the token that ends a document. stop_ids: the tokens that end an answer, the end token among them.
    begin_ids: what stands before a text that begins.
    """

    def __init__(self, json_text: str, end_token: str | None = None) -> None:
        """From the text of a ``tokenizer.json``; ``end_token`` names the end token where it is none of the usual ones.

        Raises:
            InputError: neither byte-level BPE nor BPE with byte fallback, or no end token.
        """
        import tokenizers

        self._json_text = json_text
        parts = read_parts(json_text, end_token)
        try:
            self._bpe = tokenizers.Tokenizer.from_str(parts.bpe_json)
        except Exception as error:  # tokenizers raises bare Exceptions
            raise InputError(f"not a tokenizer.json ({error})") from error
        self._byte_fallback, self._prefix, self.end_token = parts.byte_fallback, parts.prefix, parts.end_token
        self._bpe.encode_special_tokens = True
        self.eos_id: int = self._id(parts.end_token)
        self.stop_ids: frozenset[int] = frozenset({self.eos_id})
        ours = parts.end_token == END_OF_TEXT and not parts.begin_tokens
        self.begin_ids: list[int] = [self.eos_id] if ours else [self._id(name) for name in parts.begin_tokens]
        self.vocab_size: int = self._bpe.get_vocab_size(with_added_tokens=True)
        self.sha256: str = hashlib.sha256(json_text.encode()).hexdigest()
        named = end_token is not None and end_token not in END_TOKENS
        self.identity: str = f"{self.sha256} end {end_token}" if named else self.sha256

    def _id(self, name: str) -> int:
        token_id = self._bpe.token_to_id(name)
        if token_id is None:
            raise InputError(f"its token {name!r} is in no vocabulary of it")
        return token_id

    @property
    def prefix_bytes(self) -> int:
        """Bytes that the tokens of a document stand for beyond its text: the space before it, in some tokenizers."""
        return len(self._prefix)

    @classmethod
    def train(cls, texts: Iterable[str], vocab_size: int) -> "Tokenizer":
        """Learn a vocabulary of at most ``vocab_size`` from ``texts``; the same texts give the same tokenizer.

        Raises:
            InputError: ``vocab_size`` has no room for the 256 bytes and the special tokens.
        """
        import tokenizers
        from tokenizers import decoders, models, pre_tokenizers, trainers

        if vocab_size < MIN_VOCAB_SIZE:
            needed = f"256 bytes and the special tokens need {MIN_VOCAB_SIZE}"
            raise OptionError(f"vocab_size {vocab_size} is too small: {needed}", "vocab_size")
        bpe = tokenizers.Tokenizer(models.BPE())
        bpe.pre_tokenizer = pre_tokenizers.Sequence(
            [
                pre_tokenizers.Split(tokenizers.Regex(SPLIT_PATTERN), "isolated"),
                pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
            ]
        )
        bpe.decoder = decoders.ByteLevel()
        trainer = trainers.BpeTrainer(
            vocab_size=vocab_size,
            special_tokens=list(SPECIAL_TOKENS),
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        )
        bpe.train_from_iterator(texts, trainer)
        return cls(bpe.to_str(pretty=True))

    @classmethod
    def load(cls, path: str | Path, end_token: str | None = None) -> "Tokenizer":
        """From a ``tokenizer.json`` or a folder that holds one; InputError names it if it is missing or unfit.

        A ``tokenizer_config.json`` beside it says which token ends a text (unless ``end_token`` does), and which one
        begins it.
        """
        path = Path(path)
        file = path / TOKENIZER_FILE if path.is_dir() else path
        config = read_config(file.parent)
        try:
            made = cls(file.read_text(encoding="utf-8"), end_token or named_token(config, "eos_token"))
            if isinstance(config.get("add_bos_token"), bool):
                begin = named_token(config, "bos_token") if config["add_bos_token"] else None
                made.begin_ids = [made._id(begin)] if begin else []
            return made
        except FileNotFoundError as error:
            raise InputError(f"no tokenizer at {file}; give a {TOKENIZER_FILE} or the folder of one") from error
        except (OSError, UnicodeDecodeError, InputError) as error:
            raise InputError(f"tokenizer {file}: {error}") from error

    def save(self, path: str | Path) -> None:
        """Write ``tokenizer.json`` to ``path`` (a file, or a folder that exists), byte for byte as it was loaded.

        Where its end token is not one that is found without being told, a ``tokenizer_config.json`` beside says it.
        """
        path = Path(path)
        file = path / TOKENIZER_FILE if path.is_dir() else path
        write_whole(file, self._json_text)
        if self.end_token != _found_alone(self._json_text):
            write_whole(file.with_name(CONFIG_FILE), json.dumps({"eos_token": self.end_token}) + "\n")

    def encode(self, text: str) -> list[int]:
        """Token ids of ``text``, without an end token; special tokens that it spells are ordinary text."""
        return self._encoded(text)

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        """``encode`` for many texts, on all cores."""
        if self._byte_fallback and any(SPACE_MARK in text for text in texts):
            return [self._encoded(text) for text in texts]
        encodings = self._bpe.encode_batch_fast([self._prefixed(text) for text in texts], add_special_tokens=False)
        return [self._as_text(text, encoding.ids) for text, encoding in zip(texts, encodings, strict=True)]

    def _prefixed(self, text: str) -> str:
        return self._prefix + text if text else text

    def _encoded(self, text: str) -> list[int]:
        """``encode``; where the pieces write spaces as U+2581, that sign itself is taken as its bytes."""
        marked = self._prefixed(text).split(SPACE_MARK) if self._byte_fallback else [self._prefixed(text)]
        ids = self._as_text(text, self._bpe.encode(marked[0], add_special_tokens=False).ids)
        for part in marked[1:]:
            ids += [self._id(BYTE_PIECES[byte]) for byte in SPACE_MARK.encode()]
            ids += self._bpe.encode(part, add_special_tokens=False).ids if part else []
        return ids

    def _as_text(self, text: str, ids: list[int]) -> list[int]:
        """``ids`` of ``text`` without the end token, which tokenizers that do not call it special find in texts."""
        if self.eos_id not in ids:
            return ids
        end = self._bpe.id_to_token(self.eos_id) or ""
        before, *others = text.split(end)
        pieces = [before, *(end[1:] + other for other in others)]
        pieces = [piece + end[0] for piece in pieces[:-1]] + pieces[-1:]  # cut behind the end token's first character
        cut = [i for piece in pieces for i in self._bpe.encode(piece, add_special_tokens=False).ids]
        if self.eos_id in cut:
            raise InputError(f"the tokenizer finds its end token {end!r} in text that does not spell it")
        return cut

    def encode_document(self, text: str) -> list[int]:
        """Token ids of ``text`` as the beginning of a document, after the begin token where the model had one."""
        return [*self.begin_ids, *self.encode(text)]

    def decode(self, ids: Sequence[int], keep_special: bool = False) -> str:
        """The text of ``ids``; special tokens are left out unless ``keep_special``. Broken UTF-8 becomes U+FFFD."""
        raw = b"".join(self.token_bytes(i, keep_special) for i in ids)
        return raw.removeprefix(self._prefix.encode()).decode("utf-8", errors="replace")

    def token_bytes(self, token_id: int, keep_special: bool = False) -> bytes:
        """The bytes one token stands for; none for an id beyond the vocabulary, as padded model heads can yield."""
        if token_id in self._special_ids and not keep_special:
            return b""
        return self._bytes_of_id.get(token_id, b"")

    def special_id(self, name: str) -> int:
        """The id of a special token such as ``<|user|>``; InputError if this tokenizer has none of that name."""
        token_id = self._bpe.token_to_id(name)
        if token_id not in self._special_ids:
            raise InputError(f"this tokenizer has no special token {name!r}")
        return token_id

    @cached_property
    def _special_ids(self) -> frozenset[int]:
        return frozenset(i for i, token in self._bpe.get_added_tokens_decoder().items() if token.special)

    @cached_property
    def _bytes_of_id(self) -> dict[int, bytes]:
        added = self._bpe.get_added_tokens_decoder()
        byte_of = {character: byte for byte, character in enumerate(_byte_characters())}
        byte_pieces = {piece: byte for byte, piece in enumerate(BYTE_PIECES)}

        def bytes_of(token: str, i: int) -> bytes:
            if self._byte_fallback:
                if token in byte_pieces:
                    return bytes([byte_pieces[token]])
                return (token if i in self._special_ids else token.replace(SPACE_MARK, " ")).encode()
            if i in added or not byte_of.keys() >= set(token):
                return token.encode()
            return bytes(byte_of[c] for c in token)

        names = {i: token for token, i in self._bpe.get_vocab(with_added_tokens=True).items()}
        names |= {i: token.content for i, token in added.items()}
        return {i: bytes_of(token, i) for i, token in names.items()}

    @cached_property
    def special_tokens(self) -> dict[str, int]:
        """The special tokens by the text that spells them."""
        added = self._bpe.get_added_tokens_decoder()
        return {added[i].content: i for i in sorted(self._special_ids)}

    def split_special(self, text: str) -> list[str | int]:
        """``text`` cut at the special tokens that it spells: pieces of text, and the ids between them.

        For text that means them, such as that of a chat template; spaces that a token takes with it are gone.
        """
        pieces: list[str | int] = []
        for piece in self._special_pattern.split(text) if self.special_tokens else [text]:
            name = piece.strip() if piece not in self.special_tokens else piece
            pieces.append(self.special_tokens.get(name, piece))
        return [piece for piece in pieces if piece != ""]

    @cached_property
    def _special_pattern(self) -> re.Pattern[str]:
        added = self._bpe.get_added_tokens_decoder()
        tokens = sorted((added[i] for i in self._special_ids), key=lambda token: -len(token.content))
        ways = [
            (r"\s*" if token.lstrip else "") + re.escape(token.content) + (r"\s*" if token.rstrip else "")
            for token in tokens
        ]
        return re.compile(f"({'|'.join(ways)})")

    def is_special(self, token_id: int) -> bool:
        """Whether the token stands for no text."""
        return token_id in self._special_ids


class StreamDecoder:
    """Text out of tokens that come one at a time: a piece is given out only when its UTF-8 is whole."""

    def __init__(self, tokenizer: Tokenizer, begins: bool = False) -> None:
        """``begins``: the tokens are the beginning of a text, whose space some tokenizers add."""
        self._tokenizer = tokenizer
        self._surplus = tokenizer.prefix_bytes if begins else 0
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")

    def push(self, token_id: int) -> str:
        """The text that this token completes; often one piece, sometimes none yet."""
        new = self._tokenizer.token_bytes(token_id)
        if new and self._surplus:
            new, self._surplus = new.removeprefix(b" "), 0
        return self._decoder.decode(new)

    def flush(self) -> str:
        """What is left at the end: U+FFFD if the tokens stopped inside a character, else nothing."""
        return self._decoder.decode(b"", final=True)


def _found_alone(json_text: str) -> str | None:
    """The end token that a tokenizer.json is taken to have when nothing else is said."""
    try:
        return read_parts(json_text).end_token
    except InputError:
        return None


def _byte_characters() -> list[str]:
    """The character that stands for each of the 256 bytes in byte-level vocabularies (Radford et al. 2019, GPT-2)."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [byte for byte in range(256) if byte not in printable]
    character = {byte: chr(byte) for byte in printable} | {byte: chr(256 + n) for n, byte in enumerate(others)}
    return [character[byte] for byte in range(256)]
