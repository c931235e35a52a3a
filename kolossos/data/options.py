"""The options of ``prepare``, checked once, and the part of them that decides what the output is."""

from dataclasses import dataclass

from kolossos.data.corpus.manifest import OptionsRecord
from kolossos.data.option_error import OptionError

TRAIN = "train"


@dataclass(frozen=True)
class PrepareOptions:
    """What to make of the sources; out of range values raise InputError.

    Attributes:
        text_key: the key (.jsonl) or column (.parquet) that holds the text.
        tokenizer: "train", or the path of a tokenizer.json or of a folder that holds one.
        end_token: the token of a given tokenizer that ends a document; None: the one it names or a usual one.
        vocab_size: of the tokenizer to train; a small text may not fill it.
        val_fraction: share of the documents held out for validation, in [0, 1).
        near_threshold: Jaccard similarity in (0, 1] from which a document is a near duplicate; None: exact ones only.
        min_chars: shorter documents are dropped.
        seed: chooses the documents that are held out.
        shard_tokens: a shard closes with the document that reaches this many tokens.
        limit_bytes: read at most this much text, the first documents in source order; None: all.
    """

    text_key: str = "text"
    tokenizer: str = TRAIN
    end_token: str | None = None
    vocab_size: int = 4096
    val_fraction: float = 0.02
    near_threshold: float | None = 0.8
    min_chars: int = 20
    seed: int = 0
    shard_tokens: int = 100_000_000
    limit_bytes: int | None = None

    def __post_init__(self) -> None:
        _check(0 <= self.val_fraction < 1, "val_fraction", self.val_fraction, "at least 0 and less than 1")
        if self.near_threshold is not None:
            _check(0 < self.near_threshold <= 1, "near_threshold", self.near_threshold, "more than 0 and at most 1")
        if self.end_token is not None and self.tokenizer == TRAIN:
            raise OptionError("end_token is for a given tokenizer; one that is trained has its own", "end_token")
        _check(self.min_chars >= 0, "min_chars", self.min_chars, "0 or more")
        _check(0 <= self.seed < 1 << 63, "seed", self.seed, "0 or more and less than 2**63")
        _check(self.shard_tokens >= 1, "shard_tokens", self.shard_tokens, "1 or more")
        _check(self.limit_bytes is None or self.limit_bytes >= 1, "limit_bytes", self.limit_bytes, "1 or more")

    def record(self, tokenizer: str | None) -> OptionsRecord:
        """What the manifest says of them; ``tokenizer`` is the identity of the given one, None to train one."""
        values = vars(self) | {"tokenizer": tokenizer or TRAIN, "vocab_size": None if tokenizer else self.vocab_size}
        del values["end_token"]  # part of the tokenizer's identity
        return OptionsRecord(**values)


def _check(good: bool, option: str, value: object, right: str) -> None:
    if not good:
        raise OptionError(f"{option} {value} is out of range: it must be {right}", option)
