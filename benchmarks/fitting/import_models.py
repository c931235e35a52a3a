"""Write the catalogue's models from a JSON table of published architectures; run again, it changes nothing.

    python benchmarks/fitting/import_models.py --models models.json [--measurements measurements.csv]

Files written by hand, and names that are aliases, are left alone: there the shapes are compared, and differences
printed. --measurements gives the longest sequence measured, for models whose training length is not published.
"""

import argparse
import csv
import re
from pathlib import Path
from typing import Any

import tomli_w

from kolossos.specs.catalogue import CATALOGUE, aliases, load_model, model_names
from kolossos.specs.from_models_json import ImportedModel, read_models
from kolossos.specs.model import ModelSpec

MADE_BY = "# Made by benchmarks/fitting/import_models.py from a table of published architectures."
FILE_ID = re.compile(r"(; tied embeddings per )?repository data file id \d+( quoting )?")  # no one can look it up
SHAPE = ("n_layers", "dim", "n_heads", "n_kv_heads", "head_dim", "vocab_size", "mla", "ffn_dim", "tied_embeddings")


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--models", type=Path, required=True, help="JSON file with the key 'models'")
    arguments.add_argument("--measurements", type=Path, help="CSV file with the columns model and seq_len")
    given = arguments.parse_args()
    folder = CATALOGUE / "models"
    written = unchanged = 0
    for name, model in read_models(given.models, longest_measured(given.measurements)).items():
        path = folder / f"{name}.toml"
        if model.spec is None:
            print(f"left out  {name}: {model.reason}")
        elif name in aliases() or (path.is_file() and not path.read_text(encoding="utf-8").startswith(MADE_BY)):
            compare(name, model.spec)
        elif path.is_file() and path.read_text(encoding="utf-8") == text_of(model):
            unchanged += 1
        else:
            path.write_text(text_of(model), encoding="utf-8")
            written += 1
    print(f"{written} files written, {unchanged} unchanged, {len(model_names())} models in the catalogue")


def longest_measured(path: Path | None) -> dict[str, int]:
    """Longest seq_len (tokens) of each model in the measurements."""
    longest: dict[str, int] = {}
    if path is None:
        return longest
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            if row["seq_len"]:
                longest[row["model"]] = max(longest.get(row["model"], 0), int(float(row["seq_len"])))
    return longest


def text_of(model: ImportedModel) -> str:
    """The TOML file of one model: where it is from and what was assumed, then the values that are no default."""
    assert model.spec is not None
    comments = [MADE_BY, *([f"# Notes of the table: {model.notes}"] if model.notes else [])]
    comments += [f"# Assumed: {line}" for line in model.assumed]
    values: dict[str, Any] = {"source": FILE_ID.sub("", model.spec.source)}
    values |= model.spec.model_dump(exclude={"name", "source"}, exclude_defaults=True, exclude_none=True)
    return "\n".join(comments) + "\n" + tomli_w.dumps(values)


def compare(name: str, spec: ModelSpec) -> None:
    """Print where the table's shape differs from that of the catalogue's hand-written file."""
    ours = load_model(name)
    differences = [f"{k}: {getattr(ours, k)} here, {getattr(spec, k)} there" for k in SHAPE if _differ(ours, spec, k)]
    experts = [(m.n_experts, m.top_k, m.expert_dim, m.shared_dim) if m else None for m in (ours.moe, spec.moe)]
    if experts[0] != experts[1]:
        differences.append(f"moe: {experts[0]} here, {experts[1]} there")
    print(f"by hand   {name} -> {ours.name}: {'; '.join(differences) or 'same shape'}")


def _differ(ours: ModelSpec, theirs: ModelSpec, key: str) -> bool:
    return getattr(ours, key) != getattr(theirs, key)


if __name__ == "__main__":
    main()
