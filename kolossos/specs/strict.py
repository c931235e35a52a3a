"""Reading specs strictly: an unknown key, a wrong type or an impossible value is one clear line."""

import tomllib
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from kolossos.errors import InputError, nearest


class Spec(BaseModel):
    """Base of all specs: frozen, no unknown keys, numbers are not read from strings."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    @classmethod
    def parse(cls, values: dict[str, Any], where: str) -> Self:
        """Validate ``values``; raise InputError naming ``where``, the key and what would be right."""
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise InputError(f"{where}: {_first_problem(cls, error)}") from None


def read_toml(path: Path) -> dict[str, Any]:
    """Parse a TOML file; raise InputError with the file (and, from the parser, the line) if it cannot be read."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except IsADirectoryError:
        raise InputError(f"{path}: is a folder, expected a TOML file") from None
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"{path}: not valid TOML: {error}") from None


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
    return f"key '{key}' = {first['input']!r}: {message}"


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
