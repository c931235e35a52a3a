"""Parameter counts of the whole catalogue against those that the makers of the models published."""

import tomllib
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest

from kolossos.specs.catalogue import load_model, model_names
from kolossos.specs.counts import count_parameters

TABLE = tomllib.loads((Path(__file__).parent / "data/published_parameters.toml").read_text(encoding="utf-8"))
DEFAULT_TOLERANCE = 0.01


def entries_of(name: str) -> list[dict[str, Any]]:
    return [e for e in TABLE["published"] if any(fnmatch(name, pattern) for pattern in e["models"])]


def unpublished(name: str) -> bool:
    return any(fnmatch(name, pattern) for pattern in TABLE["not_published"])


def deviations(name: str) -> dict[str, float]:
    """Relative deviations of our counts from the published ones."""
    (entry,) = entries_of(name)
    count = count_parameters(load_model(name))
    left_out = entry.get("without_embedding", "")
    tables = count.embedding + (count.output if left_out == "all" else 0)
    ours = {
        "total_b": count.total - (tables if left_out in ("total", "all") else 0),
        "active_b": count.active - (tables if left_out in ("active", "all") else 0),
    }
    return {key: ours[key] / 1e9 / entry[key] - 1 for key in ours if key in entry}


@pytest.mark.parametrize("name", [name for name in model_names() if not unpublished(name)])
def test_counts_are_the_published_ones(name: str) -> None:
    (entry,) = entries_of(name)
    tolerance = entry.get("tolerance", DEFAULT_TOLERANCE)
    found = deviations(name)
    assert all(abs(deviation) <= tolerance for deviation in found.values()), found


def test_every_model_is_published_or_named_as_unpublished() -> None:
    for name in model_names():
        assert len(entries_of(name)) + unpublished(name) == 1, name


def test_a_wider_tolerance_is_explained_and_needed() -> None:
    for entry in TABLE["published"]:
        assert entry["source"]
        if "tolerance" in entry:
            assert entry["why"]
        if entry.get("tolerance", 0) > DEFAULT_TOLERANCE:
            names = [n for n in model_names() if entry in entries_of(n)]
            assert any(abs(d) > DEFAULT_TOLERANCE for n in names for d in deviations(n).values()), entry["models"]
