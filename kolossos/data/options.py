"""The options of ``prepare``, checked once, and the part of them that decides what the output is."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from kolossos.data.corpus.manifest import OptionsRecord
from kolossos.data.document import storable
from kolossos.data.mask import check_kinds
from kolossos.data.option_error import OptionError

TRAIN = "train"
BadLines = Literal["refuse", "skip"]


@dataclass(frozen=True)
class PrepareOptions:
    """What to make of the sources; out of range values raise InputError.

    Attributes:
        text_key: the key (JSON) or column (tables) that holds the text; dots lead into objects (``content.text``).
        text_keys: pairs of a source argument and its own key, where it is another one.
        tokenizer: "train", or the path of a tokenizer.json or of a folder that holds one.
        end_token: the token of a given tokenizer that ends a document; None: the one it names or a usual one.
        vocab_size: of the tokenizer to train; a small text may not fill it.
        val_fraction: share of the documents held out for validation, in [0, 1).
        near_threshold: Jaccard similarity in (0, 1] from which a document is a near duplicate; None: exact ones only.
        min_chars: shorter documents are dropped.
        seed: chooses the documents that are held out.
        shard_tokens: a shard closes with the document that reaches this many tokens.
        limit_bytes: read at most this much text, the first documents in source order; None: all.
        bad_lines: what cannot be read among what can: "refuse" the source, or "skip" and count it.
        mask: kinds of personal numbers and addresses to replace (`mask.py`).
        community_posts: read posts in communities of an X archive too.
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
    text_keys: tuple[tuple[str, str], ...] = ()
    bad_lines: BadLines = "refuse"
    mask: tuple[str, ...] = ()
    community_posts: bool = False

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
        _check(self.bad_lines in get_args(BadLines), "bad_lines", self.bad_lines, "refuse or skip")
        check_kinds(self.mask)

    def text_key_of(self, source: str) -> str:
        """The key of one source argument."""
        return dict(self.text_keys).get(source, self.text_key)

    def record(self, tokenizer: str | None) -> OptionsRecord:
        """What the manifest says of them; ``tokenizer`` is the identity of the given one, None to train one."""
        values = vars(self) | {
            "tokenizer": tokenizer or TRAIN,
            "vocab_size": None if tokenizer else self.vocab_size,
            "text_keys": {storable(source): key for source, key in self.text_keys},
            "mask": sorted(set(self.mask)),
        }
        del values["end_token"]  # part of the tokenizer's identity
        return OptionsRecord(**values)


def text_keys(given: Sequence[str], sources: Sequence[str]) -> tuple[str, tuple[tuple[str, str], ...]]:
    """The key of all sources, and those of single ones, given as ``KEY`` and ``SOURCE=KEY``."""
    key_of_all = "text"
    pairs: dict[str, str] = {}
    for each in given:
        source = next((s for s in sorted(sources, key=len, reverse=True) if each.startswith(f"{s}=")), None)
        if source is None:
            key_of_all = each
        else:
            pairs[source] = each.removeprefix(f"{source}=")
    return key_of_all, tuple(sorted(pairs.items()))


def comma_separated(given: str) -> tuple[str, ...]:
    return tuple(name for each in given.split(",") if (name := each.strip()))


def _check(good: bool, option: str, value: object, right: str) -> None:
    if not good:
        raise OptionError(f"{option} {value} is out of range: it must be {right}", option)
