"""From the core model's answer to the status a note shows: sampled raters, stability, lock, explanation tags.

Only the core model speaks here; group, topic and expansion models of the official pipeline do not exist in this scorer.
"""

from dataclasses import dataclass

import numpy as np

from kolossos.notes.score.columns import CRH, CRNH, FIRM_REJECT, NEEDS_YOUR_HELP, NMR, Ratings, World
from kolossos.notes.score.judge import CoreScores
from kolossos.notes.tables.schema import HELPFUL_TAGS, NOT_HELPFUL_TAGS

MINUTE_MILLIS = 60_000
LOCK_MILLIS = 14 * 24 * 60 * MINUTE_MILLIS
SHORTEST_WAIT_MINUTES, LONGEST_WAIT_MINUTES, LONGEST_HELP_MINUTES = 30, 60, 360
FEWEST_WITH_TAG = 2

# From the tag that wins ties to the one that loses them.
HELPFUL_TIES = (
    "helpfulInformative",
    "helpfulClear",
    "helpfulImportantContext",
    "helpfulAddressesClaim",
    "helpfulGoodSources",
    "helpfulEmpathetic",
    "helpfulUniqueContext",
    "helpfulUnbiasedLanguage",
    "helpfulOther",
)
NOT_HELPFUL_TIES = (
    "notHelpfulOutdated",
    "notHelpfulSpamHarassmentOrAbuse",
    "notHelpfulHardToUnderstand",
    "notHelpfulOffTopic",
    "notHelpfulIncorrect",
    "notHelpfulArgumentativeOrBiased",
    "notHelpfulNoteNotNeeded",
    "notHelpfulMissingKeyPoints",
    "notHelpfulOpinionSpeculationOrBias",
    "notHelpfulOpinionSpeculation",
    "notHelpfulSourcesMissingOrUnreliable",
    "notHelpfulIrrelevantSources",
    "notHelpfulOther",
)


@dataclass(frozen=True)
class FinalStatuses:
    """The status each note shows, the rules that acted, its two tags, its wait and its lock; shape N."""

    status_N: np.ndarray
    active_rules_N: list[list[str]]
    first_tag_N: np.ndarray
    second_tag_N: np.ndarray
    waiting_since_N: np.ndarray
    locked_status_N: np.ndarray


def final_statuses(world: World, core: CoreScores, wait: bool = True) -> FinalStatuses:
    """Apply the meta rules in order.

    Args:
        wait: whether a note new to Helpful waits for its status to be stable.
    """
    size = len(world.notes)
    status_N = np.full(size, NMR, dtype=object)
    rules: list[list[str]] = [["MetaInitialNMR (v1.0)"] for _ in range(size)]

    def act(name: str, where: np.ndarray, status: object) -> None:
        for n in np.flatnonzero(where):
            rules[n].append(name)
        status_N[where] = status[where] if isinstance(status, np.ndarray) else status

    inside = core.verdicts.status_N
    act("CoreModel (v1.1)", core.judged_N, np.where(inside == FIRM_REJECT, NMR, inside))
    act("PopulationSampledIntercept (v1.0)", sampled_disagree(core) & (status_N == CRH), NMR)
    waiting = world.notes.waiting_since_N.copy()
    if wait:
        changed, waiting = stability(world, status_N)
        act("NmrDueToMinStableCrhTime (v1.0)", changed != status_N, changed)
    locked = _locked(world)
    act("ScoringDriftGuard (v1.0)", (locked != "") & (locked != status_N), locked)
    first, second = explanation_tags(world.ratings, status_N)
    unexplained = np.isin(status_N, (CRH, CRNH)) & (second == "")
    act("InsufficientExplanation (v1.0)", unexplained, NMR)
    newly = (locked == "") & (world.now - world.notes.created_N > LOCK_MILLIS)
    return FinalStatuses(status_N, rules, first, second, waiting, np.where(newly, status_N, locked))


def sampled_disagree(core: CoreScores) -> np.ndarray:
    """Notes whose population-sampled ratings alone give a low intercept, well below that of all."""
    c = core.columns
    negative, positive = c["negFactor_populationSampledRatingCount"], c["posFactor_populationSampledRatingCount"]
    sampled = c["interceptPopulationSampled"]
    with np.errstate(invalid="ignore"):
        return (
            (negative + positive >= 8)
            & (np.minimum(negative, positive) >= 2)
            & (sampled < 0.30)
            & (c["intercept"] - sampled >= 0.15)
        )


def stability(
    world: World, status_N: np.ndarray, predicted_to_flip_N: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Status after the stability wait, and since when each note waits (NaN never, -1 left).

    A note new to Helpful (or needing help) waits as undecided: never less than 30 minutes; to Helpful after 60 at the
    latest; given up after 360 where help is still needed. Between, one that was Helpful first before or is predicted to
    flip keeps waiting. A note that was Helpful in the last run does not wait, and stays Helpful where help is needed.

    Args:
        predicted_to_flip_N: by a flip predictor; without one, no note is.
    """
    was_helpful = world.notes.current_status_N == CRH
    new = status_N.copy()
    new[was_helpful & (status_N == NEEDS_YOUR_HELP)] = CRH
    since = world.notes.waiting_since_N.copy()
    crh, help_needed = ~was_helpful & (status_N == CRH), ~was_helpful & (status_N == NEEDS_YOUR_HELP)
    never, left = np.isnan(since), since < 0
    with np.errstate(invalid="ignore"):
        waiting = since > 0
        minutes = (world.now - since) / MINUTE_MILLIS
    flips = world.notes.first_status_N == CRH
    if predicted_to_flip_N is not None:
        flips |= predicted_to_flip_N
    new[crh | help_needed] = NMR
    begins = ((crh | help_needed) & never) | (crh & left)
    with np.errstate(invalid="ignore"):
        leaves = crh & waiting & ((minutes > LONGEST_WAIT_MINUTES) | ((minutes >= SHORTEST_WAIT_MINUTES) & ~flips))
        gives_up = help_needed & waiting & (minutes > LONGEST_HELP_MINUTES)
    new[leaves] = CRH
    out = since.copy()
    out[begins] = world.now
    out[leaves | gives_up] = -1
    out[~was_helpful & waiting & ~crh & ~help_needed] = -1
    return new, out


def _locked(world: World) -> np.ndarray:
    """The status each note is locked to, or nothing."""
    locked = world.notes.locked_status_N
    return np.where(np.isin(locked, (CRH, CRNH, NMR)), locked, "")


def explanation_tags(ratings: Ratings, status_N: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The two most given tags of each decided note, each by two raters or more; empty where there are not two."""
    first, second = np.full(len(status_N), "", dtype=object), np.full(len(status_N), "", dtype=object)
    for status, tags, ties, bits in (
        (CRH, HELPFUL_TAGS, HELPFUL_TIES, ratings.helpful_tags_R),
        (CRNH, NOT_HELPFUL_TAGS, NOT_HELPFUL_TIES, ratings.not_helpful_tags_R),
    ):
        decided = np.flatnonzero(status_N == status)
        if not len(decided):
            continue
        counts = np.stack(
            [
                np.bincount(
                    ratings.note_R[(bits >> np.uint16(tags.index(tag))) & np.uint16(1) > 0], minlength=len(status_N)
                )
                for tag in ties
            ],
            axis=1,
        )[decided]
        order = np.argsort(-counts, axis=1, kind="stable")[:, :2]
        explained = np.take_along_axis(counts, order, axis=1)[:, 1] >= FEWEST_WITH_TAG
        names = np.array(ties, dtype=object)
        first[decided[explained]] = names[order[explained, 0]]
        second[decided[explained]] = names[order[explained, 1]]
    return first, second
