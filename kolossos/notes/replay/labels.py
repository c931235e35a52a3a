"""What is asked of a note in a replay, and its answer as it could be known at a moment."""

import numpy as np

from kolossos.errors import InputError
from kolossos.notes.replay.past import past_of
from kolossos.notes.score.columns import CRH, World

SCORER, PILOT = "scorer", "pilot"
RULES = (SCORER, PILOT)
PILOT_RATINGS, PILOT_SHARE = 5, 0.84  # the rule of the pilot: at least 5 ratings, 84 % of them helpful
SCORER_RATINGS = 5
YOUNGEST = 7 * 86_400_000  # ms: a younger note's status says little


def pilot_labels(world: World, until: float = np.inf) -> np.ndarray:
    """1 or 0 by the pilot's rule from ratings before ``until`` (ms), NaN for notes with fewer than five; shape N."""
    seen = world.ratings.created_R < until
    n = len(world.notes)
    count = np.bincount(world.ratings.note_R[seen], minlength=n)
    helpful = np.bincount(world.ratings.note_R[seen], weights=(world.ratings.answer_R[seen] == 1.0), minlength=n)
    label = (helpful / np.maximum(count, 1) >= PILOT_SHARE).astype(float)
    return np.where(count >= PILOT_RATINGS, label, np.nan)


def scorer_labels(world: World) -> np.ndarray:
    """1 where the core model ends at Helpful, 0 where it does not; NaN for notes that it does not judge, that are "not
    misleading", deleted, or younger than a week at the world's moment; shape N."""
    from kolossos.notes.score.prescoring import prescore
    from kolossos.notes.score.run import core_scores

    core = core_scores(world, prescore(world).frozen)
    notes = world.notes
    asked = notes.listed_N & ~notes.not_misleading_N & (notes.created_N < world.now - YOUNGEST)
    return np.where(asked, (core.judged_N & (core.verdicts.status_N == CRH)).astype(float), np.nan)


def labels(rule: str, world: World) -> np.ndarray:
    """Labels as of the end of ``world``; shape N."""
    if rule not in RULES:
        raise InputError(f"there is no rule {rule!r:.40} for labels: " + " or ".join(RULES))
    return pilot_labels(world) if rule == PILOT else scorer_labels(world)


def labels_then(rule: str, world: World, moment: float) -> np.ndarray:
    """Labels as they were known at ``moment`` (ms); shape N."""
    if rule == PILOT:
        return pilot_labels(world, moment)
    return scorer_labels(past_of(world, moment))
