"""Layer (b): the final round and the rules, given what the official prescoring handed on."""

from typing import TYPE_CHECKING, Any

import numpy as np

from kolossos.notes.parity.golden import Golden, codes, numbers, official_raters, spread
from kolossos.notes.score.final_round import final_ratings, pseudo_rater_bounds
from kolossos.notes.score.judge import CoreScores, in_model, judge
from kolossos.notes.score.models.diligence import DiligenceState, score_diligence
from kolossos.notes.score.rules import Verdicts, apply_rules, core_rules, derived
from kolossos.notes.tables.schema import NOT_MISLEADING

if TYPE_CHECKING:
    import polars as pl

TOLERANCE = 1e-6


def tag_thresholds(golden: Golden) -> dict[str, float]:
    """The official tag thresholds by tag."""
    stored = golden.core_figures()["tagFilteringThresholds"]
    return {name.removesuffix("AdjustedRatio"): float(value) for name, value in stored.items()}


def compare_final(golden: Golden) -> dict[str, Any] | None:
    """Figures of layer (b), or None where the set stores no core run."""
    core, closed = golden.stored("core_notes"), golden.stored("closed_form")
    if core is None:
        return None
    world = golden.world
    raters = official_raters(golden, world.participants)
    at = codes(core["noteId"].to_numpy(), world.notes.id_N)
    diligence = spread(numbers(core, "lowDiligenceNoteIntercept"), at, len(world.notes))
    ours = judge(world, raters, tag_thresholds(golden), diligence)
    found: dict[str, Any] = {"notes": core.height, "sameNotes": _same_notes(ours, at)}
    if closed is not None:
        found |= _closed_form(golden, ours, closed)
    found |= _official(ours, core, at)
    verdicts = apply_rules(core_rules(tag_thresholds(golden)), official_columns(core))
    found["rulesOnOfficialIntercepts"] = _same_rules(verdicts, core, "")
    if "coreRatingStatus_pseudo" in core.columns:
        bounds = pseudo_rater_bounds(in_model(world), len(world.notes), raters)
        found["largestBoundDifference"] = _largest(bounds.highest_N[at], numbers(core, "coreNoteInterceptMax"))
        verdicts = apply_rules(core_rules(tag_thresholds(golden), True), official_columns(core))
        found["rulesOnOfficialInterceptsWithPseudoRaters"] = _same_rules(verdicts, core, "_pseudo")
    found["largestDiligenceDifference"] = _diligence(golden, core, at)
    return found


def _same_notes(ours: CoreScores, at: np.ndarray) -> bool:
    return bool((at >= 0).all()) and int(ours.judged_N.sum()) == len(at) and bool(ours.judged_N[at].all())


def _largest(ours: np.ndarray, theirs: np.ndarray) -> float | None:
    if (np.isnan(ours) != np.isnan(theirs)).any():
        return float("inf")
    difference = np.abs(ours - theirs)
    return float(np.nanmax(difference)) if (~np.isnan(difference)).any() else None


def _closed_form(golden: Golden, ours: CoreScores, closed: "pl.DataFrame") -> dict[str, Any]:
    at = codes(closed["noteId"].to_numpy(), golden.world.notes.id_N)
    intercept = _largest(ours.notes.intercept_N[at], numbers(closed, "closedFormIntercept"))
    factor = _largest(ours.notes.factor_N[at], numbers(closed, "closedFormFactor"))
    return {
        "largestInterceptDifferenceToClosedForm": intercept,
        "largestFactorDifferenceToClosedForm": factor,
        "closedFormWithin1e-6": (intercept or 0.0) <= TOLERANCE and (factor or 0.0) <= TOLERANCE,
        "statusesOfClosedForm": float((ours.verdicts.status_N[at] == closed["closedFormStatus"].to_numpy()).mean()),
    }


def _official(ours: CoreScores, core: "pl.DataFrame", at: np.ndarray) -> dict[str, Any]:
    refits = {
        "noHighVol": ("interceptNoHighVol", "coreNoteInterceptNoHighVol"),
        "noCorrelated": ("interceptNoCorrelated", "coreNoteInterceptNoCorrelated"),
        "populationSampled": ("interceptPopulationSampled", "coreNoteInterceptPopulationSampled"),
    }
    return {
        "largestInterceptDifferenceToOfficial": _largest(
            ours.notes.intercept_N[at], numbers(core, "coreNoteIntercept")
        ),
        "largestFactorDifferenceToOfficial": _largest(ours.notes.factor_N[at], numbers(core, "coreNoteFactor1")),
        "statusesOfOfficial": float((ours.verdicts.status_N[at] == core["coreRatingStatus"].to_numpy()).mean()),
        "largestRefitDifference": {
            name: _largest(ours.columns[mine][at], numbers(core, theirs)) for name, (mine, theirs) in refits.items()
        },
    }


def official_columns(core: "pl.DataFrame") -> dict[str, np.ndarray]:
    """The stored columns under the names the rules use, each in its stored precision."""
    columns = {name: core[name].to_numpy() for name in core.columns if core[name].dtype.is_numeric()}
    columns["intercept"], columns["factor"] = columns["coreNoteIntercept"], columns["coreNoteFactor1"]
    columns["interceptNoHighVol"] = columns["coreNoteInterceptNoHighVol"]
    columns["interceptNoCorrelated"] = columns["coreNoteInterceptNoCorrelated"]
    if "coreNoteInterceptMax" in columns:
        columns["interceptMax"] = columns["coreNoteInterceptMax"]
    columns["notMisleading"] = (core["classification"] == NOT_MISLEADING).fill_null(False).to_numpy().astype(float)
    current = core["currentStatus"].cast(str)
    columns["wasCRH"] = (current == "CURRENTLY_RATED_HELPFUL").fill_null(False).to_numpy().astype(float)
    return derived(columns)


def _same_rules(verdicts: Verdicts, core: "pl.DataFrame", suffix: str) -> dict[str, float]:
    shares = {
        "statuses": float((verdicts.status_N == core[f"coreRatingStatus{suffix}"].to_numpy()).mean()),
        "activeRules": float(
            (np.array(verdicts.active_rules(), dtype=object) == core[f"coreActiveRules{suffix}"].to_numpy()).mean()
        ),
    }
    if not suffix:
        stored = core["activeFilterTags"].fill_null("").to_numpy()
        shares["filterTags"] = float((verdicts.filter_tags_N == stored).mean())
    return shares


def _diligence(golden: Golden, core: "pl.DataFrame", at: np.ndarray) -> float | None:
    """Largest difference of the final round's diligence scores where the official prescoring's state is stored."""
    notes, raters = golden.stored("prescoring_notes"), golden.stored("prescoring_raters")
    if notes is None or raters is None or "lowDiligenceNoteInterceptRound2" not in notes.columns:
        return None
    world, figures = golden.world, golden.core_figures()
    at_n = codes(notes["noteId"].to_numpy(), world.notes.id_N)
    at_p = codes(raters["raterParticipantId"].to_numpy(), world.participants.id_P)

    def of_notes(name: str) -> np.ndarray:
        return spread(numbers(notes, name), at_n, len(world.notes))

    def of_raters(name: str) -> np.ndarray:
        return spread(numbers(raters, name), at_p, len(world.participants))

    state = DiligenceState(
        rater_factor_P=of_raters("lowDiligenceRaterFactor1"),
        rater_weight_P=of_raters("lowDiligenceRaterReputation"),
        rater_bias_P=of_raters("lowDiligenceRaterIntercept"),
        rater_bias_second_P=of_raters("lowDiligenceRaterInterceptRound2"),
        note_factor_N=of_notes("lowDiligenceNoteFactor1"),
        note_bias_N=of_notes("lowDiligenceNoteIntercept"),
        note_bias_second_N=of_notes("lowDiligenceNoteInterceptRound2"),
        mu_second=figures["lowDiligenceGlobalIntercept"]["secondRound"],
        mu_last=figures["lowDiligenceGlobalIntercept"]["finalRound"],
        ratings_per_note=figures["finalRoundNumRatings"] / figures["finalRoundNumNotes"],
        ratings_per_rater=figures["finalRoundNumRatings"] / figures["finalRoundNumUsers"],
    )
    used = final_ratings(in_model(world), len(world.notes), official_raters(golden, world.participants))
    scores = score_diligence(used, state, world.notes.id_N)[at]
    return _largest(scores, numbers(core, "lowDiligenceNoteIntercept"))
