"""The catalogue: named specs that come with Kolossos, one TOML file each."""

from pathlib import Path

from kolossos.errors import InputError, nearest
from kolossos.specs.model import ModelSpec
from kolossos.specs.strict import read_toml

CATALOGUE = Path(__file__).parent / "catalogue"


def model_names() -> list[str]:
    """Names of the models in the catalogue, sorted."""
    return sorted(path.stem for path in (CATALOGUE / "models").glob("*.toml"))


def load_model(name_or_path: str) -> ModelSpec:
    """The ModelSpec of a catalogue name, or of a TOML file of the user's."""
    path = Path(name_or_path)
    if path.suffix != ".toml":
        path = CATALOGUE / "models" / f"{name_or_path}.toml"
        if not path.is_file():
            raise InputError(f"unknown model '{name_or_path}'{nearest(name_or_path, model_names())}")
    return ModelSpec.parse({"name": path.stem, **read_toml(path)}, str(path))
