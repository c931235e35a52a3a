"""What is served, and how: the values that a server is made of."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from kolossos.data.tokenizer import Tokenizer
from kolossos.serve.http.prompt.template import Template
from kolossos.serve.transcript import Turn, turn_tokens

MIB = 2**20


class ChatForm(Protocol):
    """How a conversation becomes a prompt."""

    @property
    def source(self) -> str | None:
        """The template, where there is one."""
        ...

    def tokens(self, turns: Sequence[Turn], ask: bool = True) -> list[int]:
        """Token ids of ``turns``; ``ask``: for the assistant's next. InputError for turns that have no form."""
        ...


@dataclass(frozen=True)
class Markers:
    """As Kolossos trains on chats; for a model not ``trained`` on any the texts themselves, to be continued."""

    tokenizer: Tokenizer
    trained: bool
    source: str | None = None

    def tokens(self, turns: Sequence[Turn], ask: bool = True) -> list[int]:
        """Token ids of ``turns``."""
        return turn_tokens(list(turns), self.tokenizer, self.trained, ask)


@dataclass(frozen=True)
class Served:
    """A model by its name. trained_on_chats: it answers; without that it continues. created: seconds since 1970."""

    name: str
    tokenizer: Tokenizer
    chat: ChatForm
    trained_on_chats: bool
    created: int


def chat_form(folder: Path, tokenizer: Tokenizer) -> tuple[ChatForm, bool]:
    """How the model of ``folder`` is spoken to, and whether it was trained for it; InputError for a bad template."""
    from kolossos.serve.load import trained_on_chats  # which loads torch, as nothing else here does

    if trained_on_chats(folder, tokenizer):
        return Markers(tokenizer, True), True
    template = Template.of_folder(folder, tokenizer)
    return (template, True) if template else (Markers(tokenizer, False), False)


@dataclass(frozen=True)
class Options:
    """keys: digests of those that open it; none: everybody on this machine. origins: pages that may ask from elsewhere.

    loopback: only this machine is listened to, so only its names are right as a Host. stuck_s: a step longer than this
    counts as stuck. page: folder of the page's files.
    """

    keys: frozenset[bytes] = frozenset()
    origins: tuple[str, ...] = ()
    loopback: bool = True
    largest_body: int = 8 * MIB
    stuck_s: float = 60.0
    page: Path = field(default=Path(__file__).parents[2] / "page")
