"""Layer (c): the whole chain from tables to statuses, against the official run and another of its seeds."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from kolossos.notes.parity.golden import Golden, codes, numbers
from kolossos.notes.score.columns import CRH, CRNH, World
from kolossos.notes.score.frozen import carry
from kolossos.notes.score.prescoring import Prescoring, prescore
from kolossos.notes.score.run import core_scores


@dataclass(frozen=True)
class Moment:
    """A moment's world and what its own prescoring found."""

    world: World
    prescoring: Prescoring


def moment(golden: Golden, official_steps: bool = False) -> Moment:
    """Prescore the set's own world."""
    return Moment(golden.world, prescore(golden.world, official_steps))


def _three(status: np.ndarray) -> np.ndarray:
    return np.where(status == CRH, 1, np.where(status == CRNH, -1, 0))


def compare_chain(golden: Golden, at_moment: Moment) -> dict[str, Any] | None:
    """Figures of layer (c), or None where the set stores no core run.

    Args:
        at_moment: whose prescoring is used; another moment's is carried over.
    """
    core = golden.stored("core_notes")
    if core is None:
        return None
    frozen = at_moment.prescoring.frozen
    if at_moment.world is not golden.world:
        frozen = carry(frozen, at_moment.world, golden.world)
    scores = core_scores(golden.world, frozen)
    at = codes(core["noteId"].to_numpy(), golden.world.notes.id_N)
    ours, theirs = scores.verdicts.status_N[at], core["coreRatingStatus"].to_numpy()
    difference = np.abs(scores.notes.intercept_N[at] - numbers(core, "coreNoteIntercept"))
    seeds = {
        seed: figures
        for seed, figures in golden.figures.get("core", {}).items()
        if "status_agreement_with_seed1" in figures and seed in ("seed2", "seed3")
    }
    five, three = float((ours == theirs).mean()), float((_three(ours) == _three(theirs)).mean())
    found: dict[str, Any] = {
        "statuses": five,
        "threeClasses": three,
        "otherSeedsStatuses": {seed: f["status_agreement_with_seed1"] for seed, f in seeds.items()},
        "otherSeedsThreeClasses": {seed: f.get("three_class_agreement_with_seed1") for seed, f in seeds.items()},
        "medianInterceptDifference": float(np.nanmedian(difference)),
        "largestInterceptDifference": float(np.nanmax(difference)),
        "notesThatDiffer": int((ours != theirs).sum()),
        "raters": _raters(golden, frozen.raters.helpful_P),
    }
    if seeds:
        found["notBelowWorstSeed"] = five >= min(found["otherSeedsStatuses"].values())
        for seed, suffix in (("seed2", "_s2"), ("seed3", "_s3")):
            if f"coreRatingStatus{suffix}" in core.columns:
                own = (ours == core[f"coreRatingStatus{suffix}"].to_numpy()).mean()
                found.setdefault("statusesOfOtherSeeds", {})[seed] = float(own)
    return found


def _raters(golden: Golden, kept_P: np.ndarray) -> dict[str, int] | None:
    table = golden.stored("prescoring_raters")
    if table is None:
        return None
    at = codes(table["raterParticipantId"].to_numpy(), golden.world.participants.id_P)
    theirs = np.zeros(len(kept_P), bool)
    theirs[at[(numbers(table, "aboveHelpfulnessThreshold") > 0) & (at >= 0)]] = True
    return {"keptByOfficial": int(theirs.sum()), "keptHere": int(kept_P.sum()), "differ": int((theirs != kept_P).sum())}
