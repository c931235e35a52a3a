"""The one exception that means: the person gave us something we cannot use."""

from collections.abc import Iterable
from difflib import get_close_matches


class InputError(Exception):
    """Bad input: the message says in one line what was wrong, where, and what would be right.

    The command line prints the message without a stack trace and exits with code 2; where another process of the same
    job has ``said`` it, without a word. A process that must end ``at_once`` waits for no thread.
    """

    said = False
    at_once = False

    def __str__(self) -> str:
        """One line, whatever was quoted in it."""
        return " ".join(super().__str__().split("\n"))


def nearest(name: str, choices: Iterable[str]) -> str:
    """A clause such as ``; did you mean 'grok-1'?`` or, with nothing close, the choices."""
    known = sorted(choices)
    close = get_close_matches(name, known, n=2, cutoff=0.6)
    if close:
        return "; did you mean " + " or ".join(repr(c) for c in close) + "?"
    return "; known: " + ", ".join(known)
