"""The catalogue of models: every entry loads, under all of its names."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from kolossos.cli.main import app
from kolossos.errors import InputError
from kolossos.specs.catalogue import CATALOGUE, aliases, load_model, model_names
from kolossos.specs.listing import families


def test_every_model_loads_and_says_where_it_is_from() -> None:
    for name in model_names():
        spec = load_model(name)
        assert spec.name == name
        assert spec.source


def test_an_alias_is_the_model_itself() -> None:
    for alias, name in aliases().items():
        assert load_model(alias) == load_model(name)
        assert alias not in model_names()  # an alias never hides a file
    assert load_model("grok-1-314b").name == "grok-1"


def test_a_folder_in_the_way_does_not_hide_the_catalogue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "grok-1").mkdir()
    (tmp_path / "grok-1/config.json").write_text("{}")
    monkeypatch.chdir(tmp_path)
    assert load_model("grok-1").n_layers == 64
    with pytest.raises(InputError, match="names no architecture"):
        load_model("./grok-1")


def test_an_imported_file_says_what_was_assumed() -> None:
    text = (CATALOGUE / "models/gpt3-175b.toml").read_text()
    assert "# Assumed: vocab = 51200" in text


@pytest.mark.parametrize(
    ("name", "hint"), [("grok1", "did you mean"), ("llama3.1-405", "llama3.1-405b"), ("zzz", "`kolossos models`")]
)
def test_an_unknown_model_gets_a_short_hint(name: str, hint: str) -> None:
    with pytest.raises(InputError, match=hint) as caught:
        load_model(name)
    assert len(str(caught.value)) < 200


def test_the_list_names_every_model_or_its_series_and_fits_a_terminal() -> None:
    listed = [entry for family in families() for entry in family]
    assert sorted(spec.name for entry in listed for spec in entry.specs) == model_names()
    lines = CliRunner().invoke(app, ["models"]).stdout.splitlines()
    assert len(lines) < len(model_names())
    assert all(any(entry.name in line for line in lines) for entry in listed)
    assert all(len(line) <= 80 and "…" not in line for line in lines)


def test_one_model_in_full() -> None:
    shown = CliRunner().invoke(app, ["models", "deepseek-v3"]).stdout
    for part in ("kv_lora_rank = 512", "671.0 B", "each of 58 moe layers", "# Assumed"):
        assert part in shown


def test_json_has_the_spec_the_counts_and_the_aliases() -> None:
    runner = CliRunner()
    one = json.loads(runner.invoke(app, ["models", "grok-1-314b", "--json"]).stdout)
    assert (one["name"], one["parameters"], one["n_layers"]) == ("grok-1", 315684820992, 64)
    assert one["aliases"] == ["grok-1-314b"]
    assert sum(one["parameters_by_part"].values()) == one["parameters"]
    series = json.loads(runner.invoke(app, ["models", "vtrain-*", "--json"]).stdout)
    assert len(series) == 12


def test_no_match_is_bad_input() -> None:
    assert isinstance(CliRunner().invoke(app, ["models", "zzz*"]).exception, InputError)
