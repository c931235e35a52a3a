"""The core rules, each on a note made for it, and the order in which they overwrite."""

import numpy as np
import pytest

from kolossos.notes.score.rules import apply_rules, core_rules, derived
from kolossos.notes.tables.schema import NOT_HELPFUL_TAGS

CRH, CRNH, NMR = "CURRENTLY_RATED_HELPFUL", "CURRENTLY_RATED_NOT_HELPFUL", "NEEDS_MORE_RATINGS"
REJECT, HELP = "FIRM_REJECT", "NEEDS_YOUR_HELP"
THRESHOLDS = dict.fromkeys(NOT_HELPFUL_TAGS, 0.1)


def note(**changes: float) -> dict[str, np.ndarray]:
    """A note that is Helpful by a wide margin, but for ``changes``."""
    columns = {
        "numRatings": 20.0, "notMisleading": 0.0, "wasCRH": 0.0, "intercept": 0.5, "factor": 0.1,
        "interceptMax": 0.6, "lowDiligenceNoteIntercept": 0.0, "interceptNoHighVol": 0.5,
        "interceptNoCorrelated": 0.5, "notHelpfulIncorrect_interval": 0.0, "num_voters_interval": 0.0,
        "tf_idf_incorrect_interval": 0.0, "minSignCount": 8.0, "netMinHelpful": 6.0,
    }  # fmt: skip
    single = {"negFactor_meanHelpfulNum": 0.9, "posFactor_meanHelpfulNum": 0.9, "netMinHelpfulRatio": 0.3}
    for tag in NOT_HELPFUL_TAGS:
        columns |= {f"{tag}Adjusted": 0.0, f"{tag}AdjustedRatio": 0.0}
    found = {name: np.array([changes.get(name, value)]) for name, value in columns.items()}
    found |= {name: np.array([changes.get(name, value)], np.float32) for name, value in single.items()}
    return derived(found)


@pytest.mark.parametrize(
    ("changes", "status", "decided_by"),
    [
        ({}, CRH, "GeneralCRH"),
        ({"numRatings": 4}, NMR, "InitialNMR"),
        ({"intercept": 0.399}, NMR, "InitialNMR"),
        ({"notMisleading": 1}, NMR, "InitialNMR"),
        ({"intercept": -0.13, "factor": 0.1}, CRNH, "GeneralCRNH"),
        ({"intercept": -0.12, "factor": 0.1}, REJECT, "RejectLowIntercept"),
        ({"intercept": 0.2, "interceptMax": -0.05}, CRNH, "UcbCRNH"),
        ({"negFactor_meanHelpfulNum": 0.2, "posFactor_meanHelpfulNum": 0.4}, CRNH, "RatioCRNH"),
        ({"negFactor_meanHelpfulNum": 0.21, "posFactor_meanHelpfulNum": 0.4}, CRH, "GeneralCRH"),
        ({"negFactor_meanHelpfulNum": 0.2, "posFactor_meanHelpfulNum": 0.4, "minSignCount": 2}, CRH, "GeneralCRH"),
        ({"intercept": -0.16, "factor": 0.6, "notMisleading": 1}, CRNH, "NmCRNH"),
        ({"intercept": 0.395, "wasCRH": 1}, CRH, "GeneralCRHInertia"),
        ({"intercept": 0.389, "wasCRH": 1}, NMR, "InitialNMR"),
        ({"notHelpfulOutdatedAdjusted": 2.6, "notHelpfulOutdatedAdjustedRatio": 0.11}, REJECT, "TagFilter"),
        ({"notHelpfulOutdatedAdjusted": 2.5, "notHelpfulOutdatedAdjustedRatio": 0.11}, CRH, "GeneralCRH"),
        (
            {"notHelpfulHardToUnderstandAdjusted": 9.0, "notHelpfulHardToUnderstandAdjustedRatio": 0.9},
            CRH,
            "GeneralCRH",
        ),
        (
            {"notHelpfulIncorrect_interval": 2, "num_voters_interval": 3, "tf_idf_incorrect_interval": 2.5},
            REJECT,
            "FilterIncorrect",
        ),
        (
            {"notHelpfulIncorrect_interval": 2, "num_voters_interval": 2, "tf_idf_incorrect_interval": 9},
            CRH,
            "GeneralCRH",
        ),
        ({"lowDiligenceNoteIntercept": 0.264}, REJECT, "FilterLowDiligence"),
        ({"factor": -0.51}, REJECT, "FilterLargeFactor"),
        ({"intercept": 0.29}, REJECT, "RejectLowIntercept"),
        ({"netMinHelpful": 3}, HELP, "MinMinorityRaters"),
        ({"netMinHelpful": 4, "netMinHelpfulRatio": 0.04}, HELP, "RaterBalance"),
        ({"netMinHelpful": 10, "netMinHelpfulRatio": 0.04}, CRH, "GeneralCRH"),
        ({"interceptNoHighVol": 0.36}, HELP, "NoHighVolIntercept"),
        ({"interceptNoCorrelated": 0.36}, HELP, "NoCorrelatedIntercept"),
        ({"interceptNoHighVol": np.nan, "interceptNoCorrelated": np.nan}, CRH, "GeneralCRH"),
        ({"intercept": np.nan, "factor": np.nan}, NMR, "InitialNMR"),
        ({"intercept": -0.3, "lowDiligenceNoteIntercept": 0.9}, CRNH, "GeneralCRNH"),
    ],
)
def test_each_rule_decides_the_note_made_for_it(changes: dict[str, float], status: str, decided_by: str) -> None:
    verdicts = apply_rules(core_rules(THRESHOLDS, pseudo_raters=True), note(**changes))
    assert (verdicts.status_N[0], verdicts.decided_by()[0]) == (status, f"{decided_by} (v1.0)")


def test_the_bound_takes_part_only_where_asked() -> None:
    columns = note(intercept=0.35, interceptMax=-0.05)
    assert apply_rules(core_rules(THRESHOLDS), columns).status_N[0] == NMR


def test_a_mean_of_sides_of_exactly_the_limit_holds_as_it_does_in_single_precision() -> None:
    columns = note(negFactor_meanHelpfulNum=0.2, posFactor_meanHelpfulNum=0.4)
    assert (0.2 + 0.4) / 2 > 0.3  # in double precision it would not
    assert apply_rules(core_rules(THRESHOLDS), columns).status_N[0] == CRNH


def test_all_rules_that_acted_are_listed_in_order_and_all_filtering_tags_are_named() -> None:
    columns = note(
        notHelpfulOutdatedAdjusted=3, notHelpfulOutdatedAdjustedRatio=0.5, notHelpfulOffTopicAdjusted=3,
        notHelpfulOffTopicAdjustedRatio=0.5, lowDiligenceNoteIntercept=0.5, intercept=0.2,
    )  # fmt: skip
    verdicts = apply_rules(core_rules(THRESHOLDS), columns)
    assert verdicts.active_rules()[0] == (
        "InitialNMR (v1.0),TagFilter (v1.0),FilterLowDiligence (v1.0),RejectLowIntercept (v1.0)"
    )
    assert verdicts.filter_tags_N[0] == "notHelpfulOutdated,notHelpfulOffTopic"
