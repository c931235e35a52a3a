"""The file itself: JSON, of an object, wherever it lies."""

import json
from pathlib import Path

from kolossos.errors import InputError
from kolossos.specs.huggingface.read import CONFIG_FILE, spec_from_config
from kolossos.specs.model import ModelSpec

MOST_BYTES = 20_000_000


def read_huggingface(path: Path) -> ModelSpec:
    """The ModelSpec of a config.json, or of the folder that holds it; its name is the folder's.

    Raises:
        InputError: no such file, no JSON object, an unknown architecture or layer pattern, a missing or wrong key.
    """
    file = path / CONFIG_FILE if path.is_dir() else path
    try:
        if file.stat().st_size > MOST_BYTES:
            raise InputError(f"{file}: is larger than a config.json can be")
        config = json.loads(file.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise InputError(f"{file}: cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"{file}: not valid JSON: {error}") from None
    if not isinstance(config, dict):
        raise InputError(f"{file}: holds no JSON object")
    name = file.resolve().parent.name if file.name == CONFIG_FILE else file.stem
    return spec_from_config(config, name, str(file))
