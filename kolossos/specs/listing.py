"""The catalogue of models as a person reads it: by family, with series of one shape study in one line."""

import re
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import tomli_w

from kolossos.specs.catalogue import CATALOGUE, aliases, load_cluster, load_gpu, load_model, model_names, names
from kolossos.specs.cluster import ClusterSpec
from kolossos.specs.counts import count_parameters, count_parameters_by_layer_kind, training_flops_per_token
from kolossos.specs.gpu import GpuSpec
from kolossos.specs.model import ModelSpec


@dataclass(frozen=True)
class Entry:
    """One line of the list: a model, or a series of models that differ in their shape alone."""

    name: str
    specs: tuple[ModelSpec, ...]


def families() -> list[list[Entry]]:
    """All models by family (llama, grok, ...), each sorted by size; families of one stand together at the end.

    Shape studies (name-h1024-l12-a16) are one entry each.
    """
    grouped: dict[str, dict[str, list[ModelSpec]]] = {}
    for name in model_names():
        family = re.match(r"[a-z]+", name)
        series = re.match(r"(.*)-h\d+-l\d+", name)
        label = f"{series[1]}-*" if series else name
        grouped.setdefault(family[0] if family else name, {}).setdefault(label, []).append(load_model(name))
    entries = [[Entry(label, tuple(specs)) for label, specs in grouped[family].items()] for family in sorted(grouped)]
    several = [sorted(family, key=_size) for family in entries if len(family) > 1]
    return [*several, [family[0] for family in entries if len(family) == 1]]


def _size(entry: Entry) -> int:
    return count_parameters(entry.specs[0]).total


def matching(pattern: str) -> list[ModelSpec]:
    """The models whose name matches a pattern with * or ?."""
    return [load_model(name) for name in model_names() if fnmatch(name, pattern)]


def described(spec: ModelSpec) -> dict[str, Any]:
    """Everything about one model: its spec, its parameters by part and by kind of layer, its FLOPs."""
    count = count_parameters(spec)
    kinds = count_parameters_by_layer_kind(spec)
    return {
        **spec.model_dump(),
        "aliases": sorted(alias for alias, name in aliases().items() if name == spec.name),
        "parameters": count.total,
        "active_parameters": count.active,
        "parameters_by_part": {k: v for k, v in vars(count).items() if k != "active_experts"},
        "layers": {k: {"n_layers": kind.n_layers, "parameters_each": kind.each.total} for k, kind in kinds.items()},
        "training_flops_per_token": training_flops_per_token(spec, spec.max_seq_len),
    }


def text_of(name_or_path: str) -> str:
    """A model as TOML: the catalogue's own file with its sources and assumptions, or the spec of a user's file."""
    spec = load_model(name_or_path)
    file = CATALOGUE / "models" / f"{aliases().get(name_or_path, name_or_path)}.toml"
    if file.is_file():
        return file.read_text(encoding="utf-8")
    return tomli_w.dumps(spec.model_dump(exclude={"name"}, exclude_defaults=True, exclude_none=True))


def all_clusters() -> list[ClusterSpec]:
    """The clusters of the catalogue, smallest first."""
    return sorted((load_cluster(name) for name in names("clusters")), key=lambda cluster: cluster.n_gpus)


def all_gpus() -> list[GpuSpec]:
    """The cards of the catalogue, by family and rate."""
    return sorted((load_gpu(name) for name in names("gpus")), key=lambda gpu: (gpu.family, gpu.peak("bf16")))


def file_of(kind: str, name: str) -> str:
    """The file of a cluster or card of the catalogue, to copy and change; InputError for another name."""
    {"clusters": load_cluster, "gpus": load_gpu}[kind](name)
    path = CATALOGUE / kind / f"{name}.toml"
    return (path if path.is_file() else Path(name)).read_text(encoding="utf-8")
