"""The columnar library, loaded when first needed; where it is missing, one line says how to get it."""

from types import ModuleType

from kolossos.errors import InputError


def polars() -> ModuleType:
    """The module polars."""
    try:
        import polars as pl
    except ImportError as error:
        raise InputError(
            "the notes commands need polars, which is not installed: pip install 'kolossos[notes]'"
        ) from error
    return pl
