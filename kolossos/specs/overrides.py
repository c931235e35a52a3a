"""Single values of a specification, changed by ``key=value``."""

import tomllib
from typing import Any

from kolossos.errors import InputError


def apply_overrides(
    values: dict[str, Any], overrides: list[str], what: str = "setting", example: str = "optimizer.lr=0.001"
) -> None:
    """Set dotted keys in ``values`` in place; a value is read as TOML, or as a plain string where it is none."""
    for given in overrides:
        override = given if len(given) <= 200 else given[:197] + "..."
        key, separator, text = given.partition("=")
        parts = key.strip().split(".")
        if not separator or not all(parts):
            raise InputError(f"{what} {override}: expected key=value, such as {example}")
        table = values
        for part in parts[:-1]:
            table = table.setdefault(part, {})
            if not isinstance(table, dict):
                raise InputError(f"{what} {override}: '{part}' is a value, not a table")
        table[parts[-1]] = _value(text.strip())


def _value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except ValueError:  # no TOML, or a number of thousands of digits
        return text
