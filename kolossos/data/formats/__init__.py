"""Every file of this folder is a data format: a module with a ``FORMAT``. To add one, add a file."""

import importlib
import pkgutil
from functools import cache
from pathlib import Path

from kolossos.data.format import Claim, Format
from kolossos.errors import InputError, nearest


@cache
def all_formats() -> dict[str, Format]:
    """The formats by name, in the order of their names."""
    modules = (importlib.import_module(f"{__name__}.{found.name}") for found in pkgutil.iter_modules(__path__))
    formats = [module.FORMAT for module in modules]
    return {each.name: each for each in sorted(formats, key=lambda each: each.name)}


def format_named(name: str) -> Format:
    """The format of this name; InputError for an unknown one."""
    if name not in all_formats():
        raise InputError(f"unknown data format {name!r}{nearest(name, all_formats())}")
    return all_formats()[name]


def format_of(path: Path, named: bool) -> Format | None:
    """The format that is surest to be the file's (of equally sure ones the first by name); None if none claims it."""
    claims = [(each.claim(path, named), each) for each in all_formats().values()]
    claim, surest = max(claims, key=lambda found: found[0])
    return None if claim == Claim.NONE else surest


def what_is_read() -> str:
    """A list for messages of all that can be read."""
    return ", ".join(each.described for each in all_formats().values())
