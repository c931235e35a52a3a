"""tantivy and usearch, which do the searching: loaded when a command needs them."""

from functools import cache
from typing import Any

from kolossos.errors import InputError


@cache
def tantivy() -> Any:
    """The lexical index; InputError that says how to install it."""
    try:
        import tantivy as library
    except ImportError:
        raise InputError("searching needs tantivy: pip install 'kolossos[ground]'") from None
    return library


@cache
def usearch_index() -> Any:
    """usearch's module with its index of vectors; InputError that says how to install it."""
    try:
        import usearch.index as library
    except ImportError:
        raise InputError("searching by vectors needs usearch: pip install 'kolossos[ground]'") from None
    return library
