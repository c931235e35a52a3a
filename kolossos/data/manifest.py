"""``manifest.json``: what a prepared folder holds and what it was made from. Written last: with it, all is there."""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from kolossos.errors import InputError

MANIFEST_FILE = "manifest.json"
VALIDATION_TEXT_FILE = "validation.txt"
FORMAT_VERSION = 1

SplitName = Literal["train", "validation"]
SPLIT_NAMES: tuple[SplitName, ...] = ("train", "validation")


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ShardRecord(_Record):
    """One shard: ``name``.bin holds the token ids, ``name``.idx.npy the documents' ends and byte lengths."""

    name: str
    documents: int
    tokens: int
    bytes: int
    sha256: str
    index_sha256: str


class SplitRecord(_Record):
    """Totals of a split. ``tokens`` counts the end token of every document, ``bytes`` the UTF-8 text without it."""

    documents: int
    tokens: int
    bytes: int
    shards: list[ShardRecord]


class SourceRecord(_Record):
    """A source argument: its files, their bytes on the disk, one hash over names and contents, and documents read."""

    argument: str
    files: int
    bytes: int
    sha256: str
    documents: int


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


class TokenizerRecord(_Record):
    sha256: str
    vocab_size: int
    eos_id: int


class Manifest(_Record):
    """All of ``manifest.json``. ``dropped`` counts the documents (and files that are no text) left out, by reason.

    ``validation.txt`` is the text of the validation documents joined without separators: as long as that split's
    ``bytes``, so that bits per byte of a model compare with those of gzip or xz.
    """

    format_version: Literal[1] = FORMAT_VERSION
    kolossos_version: str
    options: OptionsRecord
    sources: list[SourceRecord]
    dropped: dict[str, int]
    tokenizer: TokenizerRecord
    dtype: Literal["uint16", "uint32"]
    splits: dict[SplitName, SplitRecord]
    validation_text_sha256: str

    @classmethod
    def read(cls, folder: Path) -> "Manifest":
        """The manifest of a prepared folder; InputError if there is none or it is damaged."""
        path = folder / MANIFEST_FILE
        try:
            return cls.model_validate_json(path.read_bytes())
        except FileNotFoundError as error:
            raise InputError(
                f"{folder} is no prepared data: there is no {MANIFEST_FILE} in it; "
                f"make it with: kolossos data prepare SOURCES --out {folder}"
            ) from error
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"])) or "the file"
            raise InputError(f"{path} is damaged: {where}: {first['msg']}; prepare the data again") from error
        except OSError as error:
            raise InputError(f"{path} cannot be read: {error.strerror}") from error

    def json_text(self) -> str:
        return self.model_dump_json(indent=2) + "\n"
