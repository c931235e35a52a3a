"""How inputs are read, what is read instead of a source, and what was left out."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

from kolossos.errors import InputError
from kolossos.ground.source import Note

BadLines = Literal["refuse", "skip"]


@dataclass(frozen=True)
class ReadOptions:
    """What the person says about inputs.

    Attributes:
        text_key: the key or column that holds the text; empty: the usual ones.
        author: of what names none (an X archive does not say whose it is).
        language: ISO 639-1, of what states none.
        bad_lines: a record that cannot be read refuses its input, or is skipped and counted.
        community_posts: read posts in communities of an X archive too.
    """

    text_key: str = ""
    author: str = ""
    language: str = ""
    bad_lines: BadLines = "refuse"
    community_posts: bool = False

    def __post_init__(self) -> None:
        if self.bad_lines not in get_args(BadLines):
            raise InputError(f"bad lines {self.bad_lines!r}: expected refuse or skip")
        if self.language and not (self.language.isalpha() and len(self.language) in (2, 3)):
            raise InputError(f"language {self.language!r}: expected a code such as en")


@dataclass(frozen=True)
class Gone:
    """In the place of a source: what had this key was deleted by its author."""

    key: str


@dataclass
class Reading:
    """What goes with reading: the notes on posts, by the number of the post, and a count of what is left out."""

    options: ReadOptions
    notes: Mapping[str, tuple[Note, ...]] = field(default_factory=dict)
    left_out: Counter[str] = field(default_factory=Counter)

    def bad(self, error: InputError) -> None:
        """A record that cannot be read."""
        if self.options.bad_lines == "refuse":
            raise InputError(f"{error}; or let bad lines be skipped") from None
        self.left_out["bad_line"] += 1
