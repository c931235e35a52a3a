"""``manifest.json``: what a prepared folder holds and what it was made from. Written last: with it, all is there."""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from kolossos.data.tokenizer import TOKENIZER_FILE
from kolossos.errors import InputError
from kolossos.stores import Store, open_store

MANIFEST_FILE = "manifest.json"
VALIDATION_TEXT_FILE = "validation.txt"
FORMAT_VERSION = 1

SplitName = Literal["train", "validation"]
SPLIT_NAMES: tuple[SplitName, ...] = ("train", "validation")


def tokens_file(shard_name: str) -> str:
    return f"{shard_name}.bin"


def index_file(shard_name: str) -> str:
    return f"{shard_name}.idx.npy"


def documents_file(shard_name: str) -> str:
    return f"documents-{shard_name}.parquet"


def is_prepared(folder: Path) -> bool:
    """Whether a folder is what `prepare` made: its texts are another folder's, and some are held out."""
    if not (folder / MANIFEST_FILE).is_file():
        return False
    try:
        return bool(Manifest.read(folder))
    except InputError:
        return False


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ShardRecord(_Record):
    """One shard: ``name``.bin holds the token ids, ``name``.idx.npy the documents' ends and byte lengths, and
    documents-``name``.parquet what is known of them (None: made before there was such a table).
    """

    name: str
    documents: int
    tokens: int
    bytes: int
    sha256: str
    index_sha256: str
    documents_sha256: str | None = None


class SplitRecord(_Record):
    """Totals of a split. ``tokens`` counts the end token of every document, ``bytes`` the UTF-8 text without it."""

    documents: int
    tokens: int
    bytes: int
    shards: list[ShardRecord]


class SourceRecord(_Record):
    """A source argument: its files, their bytes on the disk, one hash over names and contents, documents read, what
    else its folder holds, counted by ending, and what was wrong with the first line that was skipped.
    """

    argument: str
    files: int
    bytes: int
    sha256: str
    documents: int
    not_read: dict[str, int] = {}
    first_bad_line: str | None = None


class OptionsRecord(_Record):
    """The options that decide what is in the folder. ``tokenizer`` is "train" or the sha256 of the one given."""

    text_key: str
    tokenizer: str
    vocab_size: int | None
    val_fraction: float
    near_threshold: float | None
    min_chars: int
    seed: int
    shard_tokens: int
    limit_bytes: int | None
    text_keys: dict[str, str] = {}
    bad_lines: Literal["refuse", "skip"] = "refuse"
    mask: list[str] = []
    community_posts: bool = False


class TokenizerRecord(_Record):
    sha256: str
    vocab_size: int
    eos_id: int


class Manifest(_Record):
    """All of ``manifest.json``. ``dropped`` counts the documents (and files that are no text) left out, by reason;
    ``masked`` what was masked in texts, by kind.

    ``validation.txt`` is the text of the validation documents joined without separators: as long as that split's
    ``bytes``, so that bits per byte of a model compare with those of gzip or xz.
    """

    format_version: Literal[1] = FORMAT_VERSION
    kolossos_version: str
    options: OptionsRecord
    sources: list[SourceRecord]
    dropped: dict[str, int]
    masked: dict[str, int] = {}
    tokenizer: TokenizerRecord
    dtype: Literal["uint16", "uint32"]
    splits: dict[SplitName, SplitRecord]
    validation_text_sha256: str

    @classmethod
    def read(cls, place: str | Path | Store) -> "Manifest":
        """The manifest of a prepared folder; InputError if there is none or it is damaged."""
        store = open_store(place)
        path = f"{store}/{MANIFEST_FILE}"
        try:
            return cls.model_validate_json(store.read(MANIFEST_FILE))
        except FileNotFoundError as error:
            raise InputError(
                f"{store} is no prepared data: there is no {MANIFEST_FILE} in it; make it with: kolossos data prepare"
            ) from error
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"])) or "the file"
            raise InputError(f"{path} is damaged: {where}: {first['msg']}; prepare the data again") from error
        except OSError as error:
            raise InputError(f"{path} cannot be read: {error.strerror or error}") from error

    def json_text(self) -> str:
        return self.model_dump_json(indent=2) + "\n"

    def file_hashes(self) -> dict[str, str]:
        """Every file of the folder but the manifest, and its sha256."""
        hashes = {TOKENIZER_FILE: self.tokenizer.sha256, VALIDATION_TEXT_FILE: self.validation_text_sha256}
        for split in self.splits.values():
            for shard in split.shards:
                hashes[tokens_file(shard.name)] = shard.sha256
                hashes[index_file(shard.name)] = shard.index_sha256
                if shard.documents_sha256 is not None:
                    hashes[documents_file(shard.name)] = shard.documents_sha256
        return hashes
