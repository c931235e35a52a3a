"""Parity finds nothing where outputs are our own, and names the claim where one of them was changed."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from kolossos.errors import InputError
from kolossos.notes.parity.compare import compare
from kolossos.notes.score.models.factorisation import fit
from kolossos.notes.score.models.filters import enough_ratings
from kolossos.notes.score.output import scored_notes
from kolossos.notes.score.run import Scoring
from kolossos.notes.tables.read import Tables


def own_outputs(folder: Path, tables: Tables, scoring: Scoring) -> Path:
    """A folder in the golden layout whose stored outputs are those of this very scorer."""
    folder.mkdir()
    names = {"notes": tables.notes, "ratings": tables.ratings, "noteStatusHistory": tables.history}
    for name, table in (names | {"userEnrollment": tables.enrollment}).items():
        table.write_parquet(folder / f"{name}.parquet")
    world, pre, judged = scoring.world, scoring.prescoring, scoring.core.judged_N
    stored = scored_notes(scoring).filter(pl.Series(judged)).drop("numRatings", "decidedBy")
    stored = stored.with_columns(
        numRatings=pl.Series(scoring.core.columns["numRatings"][judged]),
        currentStatus=pl.Series(world.notes.current_status_N[judged].tolist()),
        classification=pl.Series(world.notes.classification_N[judged].tolist()),
        lowDiligenceNoteIntercept=pl.col("lowDiligenceIntercept"),
    )
    singles = ("negFactor_meanHelpfulNum", "posFactor_meanHelpfulNum", "netMinHelpfulRatio")
    stored.with_columns(pl.col(*singles).cast(pl.Float32)).write_parquet(folder / "core_notes.parquet")
    closed = {"noteId": "noteId", "coreNoteIntercept": "closedFormIntercept", "coreNoteFactor1": "closedFormFactor"}
    closed |= {"coreRatingStatus": "closedFormStatus"}
    stored.select(pl.col(old).alias(new) for old, new in closed.items()).write_parquet(folder / "closed_form.parquet")
    raters = pre.frozen.raters
    pl.DataFrame(
        {
            "raterParticipantId": world.participants.id_P.tolist(),
            "internalRaterIntercept": raters.intercept_P,
            "internalRaterFactor1": raters.factor_P,
            "aboveHelpfulnessThreshold": raters.helpful_P,
            "incorrectTagRatingsMadeByRater": raters.incorrect_tags_P,
            "totalRatingsMadeByRater": raters.tagged_ratings_P,
        }
    ).write_parquet(folder / "prescoring_raters.parquet")
    core = {"seed1": core_figures(scoring), "seed2": {"status_agreement_with_seed1": 0.9}}
    figures = {"name": "own", "mf": own_fit(folder, scoring), "core": core}
    (folder / "result.json").write_text(json.dumps(figures))
    return folder


def core_figures(scoring: Scoring) -> dict[str, Any]:
    pre = scoring.prescoring
    return {
        "globalIntercept": pre.second.mu,
        "finalRoundNumRatings": pre.second.ratings,
        "finalRoundNumNotes": pre.second.notes,
        "tagFilteringThresholds": {f"{k}AdjustedRatio": v for k, v in pre.frozen.tag_thresholds.items()},
    }


def own_fit(folder: Path, scoring: Scoring) -> dict[str, Any]:
    world = scoring.world
    sizes = (len(world.notes), len(world.participants))
    training = enough_ratings(world.ratings, *sizes)
    fitted = fit(training.note_R, training.rater_R, training.answer_R, sizes)
    some_n, some_p = ~np.isnan(fitted.note_factor_N), ~np.isnan(fitted.rater_factor_P)
    notes: dict[str, Any] = {"noteId": world.notes.id_N[some_n]}
    raters: dict[str, Any] = {"raterParticipantId": world.participants.id_P[some_p].tolist()}
    for suffix in ("conv", "s1"):
        notes |= {f"noteIntercept_{suffix}": fitted.note_intercept_N[some_n]}
        notes |= {f"noteFactor_{suffix}": fitted.note_factor_N[some_n]}
        raters |= {f"raterIntercept_{suffix}": fitted.rater_intercept_P[some_p]}
        raters |= {f"raterFactor_{suffix}": fitted.rater_factor_P[some_p]}
    pl.DataFrame(notes).write_parquet(folder / "mf_notes.parquet")
    pl.DataFrame(raters).write_parquet(folder / "mf_raters.parquet")
    found = {"loss": fitted.loss, "globalIntercept": fitted.mu}
    return {"converged_float64": found, "seed1": {"loss": fitted.loss + 1e-6}}


@pytest.fixture(scope="module")
def golden(tmp_path_factory: pytest.TempPathFactory, tables: Tables, scoring: Scoring) -> Path:
    return own_outputs(tmp_path_factory.mktemp("golden") / "own", tables, scoring)


def test_all_claims_hold_on_our_own_outputs(golden: Path) -> None:
    report = compare(golden)
    (one,) = report["sets"]
    assert report["allHold"], one["claims"]
    assert len(one["claims"]) == 11
    assert one["layers"]["c"]["statuses"] == 1.0
    assert one["layers"]["b"]["rulesOnOfficialIntercepts"] == {"statuses": 1.0, "activeRules": 1.0, "filterTags": 1.0}
    json.dumps(report)


@pytest.mark.parametrize(
    ("file", "column", "claim"),
    [
        ("core_notes", "coreRatingStatus", "b: rules 100 % on official intercepts"),
        ("closed_form", "closedFormStatus", "b: all statuses of the closed form"),
        ("closed_form", "closedFormIntercept", "b: closed form within 1e-6"),
        ("mf_notes", "noteFactor_conv", "a: parameters within 1e-4 of the stored ones, stopped alike"),
    ],
)
def test_one_changed_value_breaks_its_claim(golden: Path, file: str, column: str, claim: str) -> None:
    path = golden / f"{file}.parquet"
    whole = path.read_bytes()
    table = pl.read_parquet(path)
    row = int(np.flatnonzero(table[column].is_not_null().to_numpy())[0])
    changed = "MADE_UP" if table[column].dtype == pl.String else table[column][row] + 2e-4
    table[row, column] = changed
    try:
        table.write_parquet(path)
        claims = compare(golden)["sets"][0]["claims"]
    finally:
        path.write_bytes(whole)
    assert [name for name, holds in claims.items() if not holds] == [claim]


def test_a_loss_below_ours_breaks_the_claim_about_seeds(golden: Path) -> None:
    path = golden / "result.json"
    whole = path.read_text()
    figures = json.loads(whole)
    figures["mf"]["seed1"]["loss"] = figures["mf"]["converged_float64"]["loss"] - 1e-9
    try:
        path.write_text(json.dumps(figures))
        claims = compare(golden)["sets"][0]["claims"]
    finally:
        path.write_text(whole)
    assert not claims["a: loss not above any official seed"]


def test_a_folder_without_outputs_is_refused(world_folder: Path) -> None:
    with pytest.raises(InputError, match="has no result"):
        compare(world_folder)
