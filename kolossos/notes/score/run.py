"""One scoring run, from prepared tables to every note's status."""

from dataclasses import dataclass

import numpy as np

from kolossos.notes.score.columns import World
from kolossos.notes.score.final_round import final_ratings
from kolossos.notes.score.frozen import Frozen
from kolossos.notes.score.gaussian import GaussianScores, gaussian_scores
from kolossos.notes.score.judge import CoreScores, in_model, judge
from kolossos.notes.score.meta import FinalStatuses, final_statuses
from kolossos.notes.score.models.diligence import score_diligence
from kolossos.notes.score.prescoring import Prescoring, prescore


@dataclass(frozen=True)
class Scoring:
    """Everything a run found."""

    world: World
    prescoring: Prescoring
    core: CoreScores
    gaussian: GaussianScores
    final: FinalStatuses


def core_scores(world: World, frozen: Frozen, pseudo_raters: bool = False) -> CoreScores:
    """The final round of the core model on ``world``, with raters and thresholds as ``frozen`` by prescoring.

    The two may come from different moments (`kolossos.notes.score.frozen.carry`): production prescores rarely and
    scores often.
    """
    used = final_ratings(in_model(world), len(world.notes), frozen.raters)
    diligence_N = score_diligence(used, frozen.diligence, world.notes.id_N)
    return judge(world, frozen.raters, frozen.tag_thresholds, diligence_N, pseudo_raters)


def score(world: World, pseudo_raters: bool = False, wait: bool = True, official_steps: bool = False) -> Scoring:
    """Prescoring, final round, second opinion and meta rules.

    Args:
        pseudo_raters: also bound every intercept by added ratings (rule UcbCRNH; the official core runs without).
        wait: whether a note new to Helpful waits until its status is stable.
        official_steps: stop both fits where the official optimiser would, instead of at their minimum.

    Raises:
        InputError: the ratings do not suffice for a fit.
    """
    prescoring = prescore(world, official_steps)
    core = core_scores(world, prescoring.frozen, pseudo_raters)
    return Scoring(
        world, prescoring, core, gaussian_scores(world, prescoring.frozen.raters), final_statuses(world, core, wait)
    )


def note_index(world: World, note_id: int) -> int:
    """Where note ``note_id`` stands in the arrays of ``world``; -1 where it is unknown."""
    at = int(np.searchsorted(world.notes.id_N, note_id))
    return at if at < len(world.notes) and int(world.notes.id_N[at]) == note_id else -1
