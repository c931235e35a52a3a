"""The catalogue: named specs that come with Kolossos, one TOML file each, and other names for them."""

from functools import cache
from pathlib import Path
from typing import TypeVar

from kolossos.errors import InputError, nearest
from kolossos.specs.cluster import ClusterSpec
from kolossos.specs.gpu import GpuSpec
from kolossos.specs.huggingface import read_huggingface
from kolossos.specs.model import ModelSpec
from kolossos.specs.strict import Spec, check_name, read_toml

CATALOGUE = Path(__file__).parent / "catalogue"
AnySpec = TypeVar("AnySpec", bound=Spec)


def names(kind: str) -> list[str]:
    """Names in one folder of the catalogue (models, gpus or clusters), sorted."""
    return sorted(path.stem for path in (CATALOGUE / kind).glob("*.toml"))


def model_names() -> list[str]:
    """Names of the models in the catalogue, sorted."""
    return names("models")


@cache
def aliases() -> dict[str, str]:
    """Other names of models, and the catalogue's name for each."""
    return read_toml(CATALOGUE / "aliases.toml")["models"]


def load_model(name_or_path: str) -> ModelSpec:
    """The ModelSpec of a catalogue name or alias, of a TOML file, or of a Hugging Face config.json or its folder."""
    check_name("model", name_or_path)
    name, path = aliases().get(name_or_path, name_or_path), Path(name_or_path)
    if name not in model_names() and (path.suffix == ".json" or path.is_dir()):
        return read_huggingface(path)
    return _load(ModelSpec, "models", name)


def load_gpu(name_or_path: str) -> GpuSpec:
    """The GpuSpec of a catalogue name, or of a TOML file (as ``kolossos calibrate`` writes)."""
    return _load(GpuSpec, "gpus", name_or_path)


def load_cluster(name_or_path: str) -> ClusterSpec:
    """The ClusterSpec of a catalogue name, or of a TOML file; its GPUs are names of the catalogue, or files that are
    sought beside the cluster's file first."""
    cluster = _load(ClusterSpec, "clusters", name_or_path)
    folder = Path(name_or_path).parent
    pools = [pool.model_copy(update={"gpu": _beside(folder, pool.gpu)}) for pool in cluster.pools]
    for pool in pools:
        load_gpu(pool.gpu)
    return cluster.model_copy(update={"pools": pools})


def _beside(folder: Path, gpu: str) -> str:
    check_name("gpu", gpu)
    beside = folder / gpu
    return str(beside) if gpu.endswith(".toml") and not Path(gpu).is_absolute() and beside.is_file() else gpu


def _load(cls: type[AnySpec], kind: str, name_or_path: str) -> AnySpec:
    check_name(kind[:-1], name_or_path)
    path = Path(name_or_path)
    if path.suffix != ".toml":
        path = CATALOGUE / kind / f"{name_or_path}.toml"
        if not path.is_file():
            known = names(kind) + (list(aliases()) if kind == "models" else [])
            raise InputError(f"unknown {kind[:-1]} '{name_or_path}'{_hint(kind, name_or_path, known)}")
    return cls.parse({"name": path.stem, **read_toml(path)}, str(path))


def _hint(kind: str, name: str, known: list[str]) -> str:
    hint = nearest(name, known)
    return hint if len(hint) < 200 else f"; `kolossos {kind}` lists the known ones"
