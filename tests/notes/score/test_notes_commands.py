"""The commands from tables to statuses and back to reasons, as a person runs them."""

import builtins
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner

from kolossos.cli.main import app
from kolossos.errors import InputError
from kolossos.notes.score.explain import explain
from kolossos.notes.score.frozen import carry
from kolossos.notes.score.gaussian import spectrum_points
from kolossos.notes.score.prepare import prepare
from kolossos.notes.score.rules import apply_rules, derived
from kolossos.notes.score.run import Scoring, core_scores, score
from kolossos.notes.tables.read import Tables


def run(*arguments: str) -> Any:
    return CliRunner().invoke(app, ["notes", *arguments])


def test_scoring_twice_writes_the_same_bytes_under_official_names(world_folder: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        done = run("score", str(world_folder), "--out", str(tmp_path / name), "--json")
        assert done.exit_code == 0, done.output
    summary = json.loads(done.stdout)
    for file in ("scored_notes.tsv", "helpfulness_scores.tsv"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()
    table = pl.read_csv(tmp_path / "one/scored_notes.tsv", separator="\t", infer_schema_length=None)
    assert table.columns[:4] == ["noteId", "coreNoteIntercept", "coreNoteFactor1", "finalRatingStatus"]
    history = pl.read_csv(world_folder / "noteStatusHistory-00000.tsv", separator="\t", infer_schema_length=None)
    assert table["noteId"].sort().to_list() == history["noteId"].sort().to_list()
    assert sum(summary["coreStatuses"].values()) == summary["judgedByCore"]
    assert len(summary["inputs"][0]["sha256"]) == 64


def test_reading_as_json_tells_files_and_contradictions(world_folder: Path) -> None:
    report = json.loads(run("read", str(world_folder), "--json").stdout)
    assert {f["table"] for f in report["files"]} == {"notes", "ratings", "noteStatusHistory", "userEnrollment"}
    assert any(c["rows"] for c in report["contradictions"])


def test_an_explanation_says_what_decided_and_what_would_change_it(scoring: Scoring) -> None:
    rules = scoring.core.verdicts.rules
    decided = scoring.core.verdicts.decided_by()
    seen = set()
    for n in np.flatnonzero(scoring.core.judged_N):
        if decided[n] in seen:
            continue
        seen.add(decided[n])
        found = explain(scoring, int(scoring.world.notes.id_N[n]))
        assert found.decided_by == decided[n]
        assert [r.name for r in found.rules if r.acted] == scoring.core.verdicts.active_rules()[n].split(",")
        for answer in found.rules:
            assert not answer.acted or all(test.holds for test in answer.tests)
        for change in found.changes:
            columns = {name: values[n : n + 1] for name, values in scoring.core.columns.items()}
            columns[change.column] = np.array([change.needed])
            assert apply_rules(rules, derived(columns)).status_N[0] == change.status != found.core_status
        json.dumps(asdict(found))
    assert len(seen) >= 6


def test_the_command_explains_a_note_and_refuses_an_unknown_one(world_folder: Path, scoring: Scoring) -> None:
    note = int(scoring.world.notes.id_N[np.flatnonzero(scoring.core.judged_N)[0]])
    done = run("explain", str(note), "--in", str(world_folder))
    assert done.exit_code == 0, done.output
    assert "GeneralCRH" in done.stdout
    with pytest.raises(InputError, match="note 12345 is in neither"):
        explain(scoring, 12345)


def test_what_was_frozen_before_scores_what_came_later(tables: Tables, scoring: Scoring) -> None:
    from dataclasses import replace

    middle = float(np.median(scoring.world.ratings.created_R))
    earlier = prepare(replace(tables, ratings=tables.ratings.filter(pl.col("createdAtMillis") < middle)))
    from kolossos.notes.score.prescoring import prescore

    frozen = carry(prescore(earlier).frozen, earlier, scoring.world)
    later = core_scores(scoring.world, frozen)
    known = np.isin(scoring.world.participants.id_P, earlier.participants.id_P[frozen_raters(earlier)])
    assert np.isnan(frozen.raters.intercept_P[~known]).all()
    both = ~np.isnan(later.notes.intercept_N) & ~np.isnan(scoring.core.notes.intercept_N)
    assert both.sum() > 100
    correlation = np.corrcoef(later.notes.intercept_N[both], scoring.core.notes.intercept_N[both])[0, 1]
    assert correlation > 0.9


def frozen_raters(earlier: Any) -> np.ndarray:
    return np.bincount(earlier.ratings.rater_R, minlength=len(earlier.participants)) > 0


def test_the_second_opinion_agrees_where_both_sides_like_a_note(scoring: Scoring) -> None:
    intercept, second = scoring.core.notes.intercept_N, scoring.gaussian.score_N
    both = ~np.isnan(intercept) & ~np.isnan(second)
    assert np.corrcoef(intercept[both], second[both])[0, 1] > 0.7
    assert ((second[both] >= 0) & (second[both] <= 0.8 + 1e-12)).all()
    points = spectrum_points(scoring.prescoring.second.rater_factor_P[scoring.prescoring.helpfulness.above_threshold_P])
    assert len(points) == 50
    assert (np.diff(points[:25]) >= 0).all()
    assert points[24] < 0 <= points[25]


def test_too_little_data_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "notes.tsv").write_text("noteId\tcreatedAtMillis\n5\t7\n")
    (tmp_path / "ratings.tsv").write_text(
        "noteId\traterParticipantId\tcreatedAtMillis\thelpfulnessLevel\n5\tA\t8\tHELPFUL\n"
    )
    from kolossos.notes.tables.read import read_tables

    with pytest.raises(InputError, match="too few ratings"):
        score(prepare(read_tables(tmp_path)))


@pytest.mark.parametrize(
    ("library", "use"), [("polars", "tables.library.polars"), ("numba", "score.compiled.compiled")]
)
def test_a_missing_library_is_one_line_that_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, library: str, use: str
) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any, **named: Any) -> Any:
        if name == library:
            raise ImportError(name)
        return real(name, *rest, **named)

    from importlib import import_module

    module, _, attribute = use.rpartition(".")
    function: Callable[..., Any] = getattr(import_module(f"kolossos.notes.{module}"), attribute)
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(InputError, match=r"pip install 'kolossos\[notes\]'"):
        function() if library == "polars" else function(lambda x: x)(1)


def test_the_commands_start_without_torch_and_without_the_extra() -> None:
    code = "import sys; import kolossos.cli.main; print([m for m in ('torch', 'polars', 'numba') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
