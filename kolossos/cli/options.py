"""The rooms name things, the command line names options: whose value an error is about."""

from collections.abc import Iterator
from contextlib import contextmanager

from kolossos.errors import InputError


@contextmanager
def value_of(option: str) -> Iterator[None]:
    """Put the name of ``option`` before an InputError of the block, whose message begins with the value."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{option} {error}") from None
