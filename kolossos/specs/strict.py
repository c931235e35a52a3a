"""Reading specs strictly: an unknown key, a wrong type or an impossible value is one clear line."""

import math
import tomllib
from pathlib import Path
from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from kolossos.errors import InputError, nearest


class Spec(BaseModel):
    """Base of all specs: frozen, no unknown keys, numbers are not read from strings."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)
    most: ClassVar[int] = 2**63 - 1
    """The largest whole number that makes sense anywhere in it."""

    @classmethod
    def parse(cls, values: dict[str, Any], where: str) -> Self:
        """Validate ``values``; raise InputError naming ``where``, the key and what would be right."""
        if beyond := _beyond(values, cls.most):
            raise InputError(f"{where}: {beyond}")
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise InputError(f"{where}: {_first_problem(cls, error)}") from None


LONGEST_NAME, LONGEST_PATH = 250, 4000


def check_name(kind: str, name: str) -> None:
    """InputError for a name that no file can have."""
    if len(name) > LONGEST_PATH or "\0" in name or any(len(part) > LONGEST_NAME for part in name.split("/")):
        raise InputError(f"unknown {kind} {name[:60]!r}... of {len(name):,} characters")


def read_toml(path: Path) -> dict[str, Any]:
    """Parse a TOML file; raise InputError with the file (and, from the parser, the line) if it cannot be read."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except IsADirectoryError:
        raise InputError(f"{path}: is a folder, expected a TOML file") from None
    except (ValueError, RecursionError) as error:  # no TOML, no text, an integer of thousands of digits
        raise InputError(f"{path}: not valid TOML: {str(error) or type(error).__name__}") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from None


LARGEST = 1e30
"""Above it lies no quantity of a computer, in any unit used here."""
DEEPEST = 20


def _beyond(value: Any, most: int, key: str = "", depth: int = 0) -> str:
    """What is out of all proportion in nested values, and where; empty if nothing is."""
    if isinstance(value, dict | list | tuple):
        if depth > DEEPEST:
            return f"key '{key}': nested too deeply"
        items = value.items() if isinstance(value, dict) else enumerate(value)
        found = (_beyond(inner, most, f"{key}.{name}" if key else str(name), depth + 1) for name, inner in items)
        return next((said for said in found if said), "")
    if isinstance(value, float) and not math.isfinite(value):
        return f"key '{key}' = {value}: expected a finite number"
    if isinstance(value, float) and abs(value) > LARGEST:
        return f"key '{key}' = {value:g}: expected a number up to {LARGEST:g}"
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > most:
        return f"key '{key}': a whole number of {len(str(abs(value)))} digits; expected at most {most:,}"
    return ""


def _first_problem(cls: type[BaseModel], error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    location = [str(part) for part in first["loc"]]
    key = ".".join(location)
    if first["type"] == "extra_forbidden":
        return f"unknown key '{key}'" + nearest(location[-1], _fields_at(cls, location[:-1]))
    if first["type"] == "missing":
        return f"key '{key}' is missing"
    if first["type"] == "value_error":
        return f"{key + ': ' if key else ''}{first.get('ctx', {}).get('error', first['msg'])}"
    message = first["msg"][0].lower() + first["msg"][1:]
    shown = repr(first["input"])
    return f"key '{key}' = {shown if len(shown) <= 60 else shown[:57] + '...'}: {message}"


def _fields_at(cls: type[BaseModel], path: list[str]) -> list[str]:
    """The field names of the (possibly nested) model that ``path`` leads to."""
    for part in path:
        field = cls.model_fields.get(part)
        nested = (
            [t for t in _types_in(field.annotation) if isinstance(t, type) and issubclass(t, BaseModel)]
            if field
            else []
        )
        if not nested:
            return []
        cls = nested[0]
    return list(cls.model_fields)


def _types_in(annotation: Any) -> list[Any]:
    arguments = getattr(annotation, "__args__", None)
    return [t for a in arguments for t in _types_in(a)] if arguments else [annotation]
