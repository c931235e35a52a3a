"""Layer (a): our fit against the official fits and the stored minimum of the same objective."""

from dataclasses import replace
from typing import Any

import numpy as np

from kolossos.notes.parity.golden import Golden, codes, numbers, spread
from kolossos.notes.score.models.factorisation import Fit, Start, fit
from kolossos.notes.score.models.filters import enough_ratings
from kolossos.notes.score.prepare import prepare

LOSS_TOLERANCE, PARAMETER_TOLERANCE = 1e-6, 1e-4
STORED_LOSS_CHANGE = 1e-12  # where the solver of the stored minimum stopped
SEEDS = ("s1", "s2", "s3")


def compare_fit(golden: Golden) -> dict[str, Any] | None:
    """Figures of layer (a), or None where the set stores no fit.

    The stored minimum was left when a plain sweep lowered the loss by less than 1e-12, which leaves weakly tied
    parameters 1e-4 from it. So the parameters are compared twice: ours at the minimum, and ours stopped by that rule;
    and the stored ones are continued to show that they end where ours are.
    """
    notes, raters = golden.stored("mf_notes"), golden.stored("mf_raters")
    if notes is None or raters is None or "mf" not in golden.figures:
        return None
    world = prepare(replace(golden.tables, clusters=golden.tables.clusters.clear()))
    sizes = (len(world.notes), len(world.participants))
    training = enough_ratings(world.ratings, *sizes)
    rows = (training.note_R, training.rater_R, training.answer_R)
    ours, again = fit(*rows, sizes), fit(*rows, sizes)
    at_n = codes(notes["noteId"].to_numpy(), world.notes.id_N)
    at_p = codes(raters["raterParticipantId"].to_numpy(), world.participants.id_P)
    stored = {
        suffix: [
            spread(numbers(notes, f"noteIntercept_{suffix}"), at_n, sizes[0]),
            spread(numbers(notes, f"noteFactor_{suffix}"), at_n, sizes[0]),
            spread(numbers(raters, f"raterIntercept_{suffix}"), at_p, sizes[1]),
            spread(numbers(raters, f"raterFactor_{suffix}"), at_p, sizes[1]),
        ]
        for suffix in ("conv", *SEEDS)
        if f"noteIntercept_{suffix}" in notes.columns
    }
    figures = golden.figures["mf"]
    converged = figures["converged_float64"]
    official = [figures[k]["loss"] for k in ("seed1", "seed2", "seed3") if k in figures]
    resumed = fit(*rows, sizes, Start(converged["globalIntercept"], stored["conv"][2], stored["conv"][3]))
    agreement = {s: _agree(ours.note_intercept_N, ours.note_factor_N, stored[s]) for s in SEEDS if s in stored}
    alike = fit(*rows, sizes, loss_change=STORED_LOSS_CHANGE)
    difference = _largest(_parameters(ours), stored["conv"])
    difference_alike = _largest(_parameters(alike), stored["conv"])
    return {
        "ratings": len(training),
        "notes": ours.notes,
        "raters": ours.raters,
        "sweeps": ours.sweeps,
        "loss": ours.loss,
        "convergedLoss": converged["loss"],
        "lossAboveConverged": ours.loss - converged["loss"],
        "officialLosses": official,
        "notAboveAnyOfficial": all(ours.loss <= loss for loss in official),
        "lossWithin1e-6": abs(ours.loss - converged["loss"]) <= LOSS_TOLERANCE,
        "largestParameterDifference": difference,
        "largestParameterDifferenceStoppedAlike": difference_alike,
        "parametersWithin1e-4": difference <= PARAMETER_TOLERANCE,
        "parametersWithin1e-4StoppedAlike": difference_alike <= PARAMETER_TOLERANCE,
        "differenceAfterResumingFromStored": _largest(_parameters(ours), _parameters(resumed)),
        "rerunBitIdentical": _same_bits(ours, again),
        "thresholdStatusAgreement": agreement,
        "officialSeedsAgreement": figures.get("threshold_status_agreement"),
    }


def _parameters(fitted: Fit) -> list[np.ndarray]:
    return [fitted.note_intercept_N, fitted.note_factor_N, fitted.rater_intercept_P, fitted.rater_factor_P]


def _largest(ours: list[np.ndarray], theirs: list[np.ndarray]) -> float:
    missing = any((np.isnan(a) != np.isnan(b)).any() for a, b in zip(ours, theirs, strict=True))
    return float("inf") if missing else max(float(np.nanmax(np.abs(a - b))) for a, b in zip(ours, theirs, strict=True))


def _same_bits(one: Fit, other: Fit) -> bool:
    pairs = zip(_parameters(one), _parameters(other), strict=True)
    return one.loss == other.loss and one.mu == other.mu and all(a.tobytes() == b.tobytes() for a, b in pairs)


def _classes(intercept: np.ndarray, factor: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore"):
        return np.where(intercept >= 0.40, 1, np.where(intercept <= -0.05 - 0.8 * np.abs(factor), -1, 0))


def _agree(intercept: np.ndarray, factor: np.ndarray, stored: list[np.ndarray]) -> float:
    known = ~np.isnan(stored[0])
    return float((_classes(intercept, factor)[known] == _classes(stored[0], stored[1])[known]).mean())
