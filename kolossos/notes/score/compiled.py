"""Loops compiled by numba, loaded when first needed; where it is missing, one line says how to get it.

No fast-math and one thread: every sum is taken in the order of the rows, so reruns agree to the bit.
"""

from collections.abc import Callable
from functools import cache
from types import FunctionType
from typing import Any

from kolossos.errors import InputError


def compiled(function: Callable[..., Any], **parts: Callable[..., Any]) -> Callable[..., Any]:
    """``function``, compiled at its first call and kept on the disk for the next process.

    ``parts``: functions that it calls by these names, which its module does not know: they are compiled as well.
    """

    @cache
    def machine_code() -> Callable[..., Any]:
        try:
            from numba import njit
        except ImportError as error:
            raise InputError(
                "the notes scorer needs numba, which is not installed: pip install 'kolossos[notes]'"
            ) from error
        with_parts = FunctionType(
            function.__code__,
            {**function.__globals__, **{name: njit(cache=True)(part) for name, part in parts.items()}},
            function.__name__,
        )
        return njit(cache=True)(with_parts if parts else function)

    def call(*arguments: Any) -> Any:
        return machine_code()(*arguments)

    call.__doc__, call.__name__ = function.__doc__, function.__name__
    return call
