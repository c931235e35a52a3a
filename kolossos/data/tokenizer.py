"""Byte-level BPE: any text in, the same text out, no unknown token.

Notable: pieces are split so that punctuation, the newline after it and the indentation of the next line may become one
token, which takes code in fewer tokens than the patterns of GPT-2 and GPT-4. Plain text never becomes a special token,
even if it spells one.
"""

import codecs
import hashlib
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path

from kolossos.data.option_error import OptionError
from kolossos.errors import InputError
from kolossos.files import write_whole
from kolossos.specs.tokens import CHAT_TOKENS, END_OF_TEXT, END_TOKENS

TOKENIZER_FILE = "tokenizer.json"
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
    """Text to token ids and back. ``sha256`` is that of the ``tokenizer.json`` file it was loaded from or saves."""

    def __init__(self, json_text: str) -> None:
        """From the text of a ``tokenizer.json``; InputError unless it is byte-level BPE with an end token."""
        import tokenizers

        self._json_text = json_text
        try:
            self._bpe = tokenizers.Tokenizer.from_str(json_text)
        except Exception as error:  # tokenizers raises bare Exceptions
            raise InputError(f"not a tokenizer.json ({error})") from error
        if not isinstance(self._bpe.decoder, tokenizers.decoders.ByteLevel):
            raise InputError("not a byte-level BPE tokenizer (its decoder is not ByteLevel)")
        end_ids = [i for name in END_TOKENS if (i := self._bpe.token_to_id(name)) is not None]
        if not end_ids:
            raise InputError(f"no end-of-text token in it; it needs one of {', '.join(END_TOKENS)}")
        self._bpe.encode_special_tokens = True
        self._bpe.no_padding()
        self._bpe.no_truncation()
        self.eos_id: int = end_ids[0]
        self.vocab_size: int = self._bpe.get_vocab_size(with_added_tokens=True)
        self.sha256: str = hashlib.sha256(json_text.encode()).hexdigest()

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
    def load(cls, path: str | Path) -> "Tokenizer":
        """From a ``tokenizer.json`` or a folder that holds one; InputError names it if it is missing or unfit."""
        path = Path(path)
        file = path / TOKENIZER_FILE if path.is_dir() else path
        try:
            return cls(file.read_text(encoding="utf-8"))
        except FileNotFoundError as error:
            raise InputError(f"no tokenizer at {file}; give a {TOKENIZER_FILE} or the folder of one") from error
        except (OSError, UnicodeDecodeError, InputError) as error:
            raise InputError(f"tokenizer {file}: {error}") from error

    def save(self, path: str | Path) -> None:
        """Write ``tokenizer.json`` to ``path`` (a file, or a folder that exists), byte for byte as it was loaded."""
        path = Path(path)
        write_whole(path / TOKENIZER_FILE if path.is_dir() else path, self._json_text)

    def encode(self, text: str) -> list[int]:
        """Token ids of ``text``, without an end token; special tokens that it spells are ordinary text."""
        return self._as_text(text, self._bpe.encode(text, add_special_tokens=False).ids)

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        """``encode`` for many texts, on all cores."""
        encodings = self._bpe.encode_batch_fast(list(texts), add_special_tokens=False)
        return [self._as_text(text, encoding.ids) for text, encoding in zip(texts, encodings, strict=True)]

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
        """Token ids of ``text`` as the beginning of a document.

        Our training data has an end token before every document, so that is where one begins; other tokenizers'
        models were trained otherwise, and nothing is put before their text.
        """
        ours = self._bpe.token_to_id(END_OF_TEXT) == self.eos_id
        return [self.eos_id, *self.encode(text)] if ours else self.encode(text)

    def decode(self, ids: Sequence[int], keep_special: bool = False) -> str:
        """The text of ``ids``; special tokens are left out unless ``keep_special``. Broken UTF-8 becomes U+FFFD."""
        return b"".join(self.token_bytes(i, keep_special) for i in ids).decode("utf-8", errors="replace")

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
        added = {i: token.content.encode() for i, token in self._bpe.get_added_tokens_decoder().items()}
        byte_of = {character: byte for byte, character in enumerate(_byte_characters())}
        learned = {
            i: bytes(byte_of[c] for c in token) if byte_of.keys() >= set(token) else token.encode()
            for token, i in self._bpe.get_vocab(with_added_tokens=True).items()
            if i not in added
        }
        return learned | added


class StreamDecoder:
    """Text out of tokens that come one at a time: a piece is given out only when its UTF-8 is whole."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")

    def push(self, token_id: int) -> str:
        """The text that this token completes; often one piece, sometimes none yet."""
        return self._decoder.decode(self._tokenizer.token_bytes(token_id))

    def flush(self) -> str:
        """What is left at the end: U+FFFD if the tokens stopped inside a character, else nothing."""
        return self._decoder.decode(b"", final=True)


def _byte_characters() -> list[str]:
    """The character that stands for each of the 256 bytes in byte-level vocabularies (Radford et al. 2019, GPT-2)."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [byte for byte in range(256) if byte not in printable]
    character = {byte: chr(byte) for byte in printable} | {byte: chr(256 + n) for n, byte in enumerate(others)}
    return [character[byte] for byte in range(256)]
