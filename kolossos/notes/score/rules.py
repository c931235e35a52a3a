"""The rules of the core scorer, as data: official names and order, each a list of comparisons that must all hold.

The same comparisons decide a status and explain it, so an explanation cannot say anything else than what was decided.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

import numpy as np

from kolossos.notes.score.columns import CRH, CRNH, FIRM_REJECT, NEEDS_YOUR_HELP, NMR
from kolossos.notes.tables.schema import NOT_HELPFUL_TAGS

Columns = Mapping[str, np.ndarray]

CRH_THRESHOLD, INERTIA = 0.40, 0.01
FEWEST_RATINGS = 5
NEVER_FILTERED = "notHelpfulHardToUnderstand"
TAG_PERCENTILE = 95


class Standing(Enum):
    """Which notes a rule may touch, by the status the rules before it left."""

    ANY = "any"
    CRH = "Helpful so far"
    NOT_CRH = "not Helpful so far"
    NOT_CRNH = "not Not Helpful so far"

    def holds(self, status_N: np.ndarray) -> np.ndarray:
        """Mask over notes."""
        if self is Standing.CRH:
            return status_N == CRH
        if self is Standing.NOT_CRH:
            return status_N != CRH
        if self is Standing.NOT_CRNH:
            return status_N != CRNH
        return np.ones(len(status_N), bool)


@dataclass(frozen=True)
class Test:
    """``column`` compared with a number or another column; missing values never hold."""

    column: str
    sign: str
    limit: float | str

    def limits(self, columns: Columns) -> np.ndarray | float:
        """The right side."""
        return columns[self.limit] if isinstance(self.limit, str) else self.limit

    def holds(self, columns: Columns) -> np.ndarray:
        """Mask over notes."""
        left, right = columns[self.column], self.limits(columns)
        with np.errstate(invalid="ignore"):
            if self.sign == ">=":
                return left >= right
            if self.sign == "<=":
                return left <= right
            if self.sign == ">":
                return left > right
            assert self.sign == "<", self.sign
            return left < right


@dataclass(frozen=True)
class Rule:
    """A rule: if a note's standing allows it and all tests of one alternative hold, its status becomes ``result``."""

    name: str
    result: str
    standing: Standing
    alternatives: tuple[tuple[Test, ...], ...]
    labels: tuple[str, ...] = ()

    @property
    def official(self) -> str:
        """The name as official outputs spell it."""
        return f"{self.name} (v1.0)"

    def matches(self, columns: Columns, status_N: np.ndarray) -> np.ndarray:
        """Which notes the rule acts on, and by which alternative: shape (alternatives, N)."""
        allowed = self.standing.holds(status_N)
        masks = []
        for tests in self.alternatives:
            mask = allowed.copy()
            for test in tests:
                mask &= test.holds(columns)
            masks.append(mask)
        return np.stack(masks)


_ENOUGH = Test("numRatings", ">=", FEWEST_RATINGS)
_MISLEADING = Test("notMisleading", "<", 1)
_PLUS, _MINUS = Test("netMinHelpful", ">=", 4), Test("netMinHelpful", "<", 10)


def core_rules(tag_thresholds: Mapping[str, float], pseudo_raters: bool = False) -> tuple[Rule, ...]:
    """The core model's rules in order.

    Args:
        tag_thresholds: for each not-helpful tag the weighted share above which a note is filtered.
        pseudo_raters: whether the upper confidence bound takes part.
    """
    tags = tuple(tag for tag in NOT_HELPFUL_TAGS if tag != NEVER_FILTERED)
    tag_tests = tuple(
        (Test(f"{tag}Adjusted", ">", 2.5), Test(f"{tag}AdjustedRatio", ">", tag_thresholds[tag])) for tag in tags
    )
    one = _one
    rules = [
        one("InitialNMR", NMR, Standing.ANY),
        one("GeneralCRH", CRH, Standing.ANY, _ENOUGH, Test("intercept", ">=", CRH_THRESHOLD), _MISLEADING),
        one("GeneralCRNH", CRNH, Standing.ANY, _ENOUGH, Test("intercept", "<=", "diamond")),
        one("UcbCRNH", CRNH, Standing.ANY, _ENOUGH, Test("interceptMax", "<", -0.04)),
        one(
            "RatioCRNH",
            CRNH,
            Standing.ANY,
            _ENOUGH,
            Test("minSignCount", ">=", 3),
            Test("negFactor_meanHelpfulNum", "<=", 0.4),
            Test("posFactor_meanHelpfulNum", "<=", 0.4),
            Test("meanOfSides", "<=", 0.3),
        ),
        one("NmCRNH", CRNH, Standing.ANY, Test("notMisleading", ">=", 1), Test("intercept", "<", -0.15)),
        one(
            "GeneralCRHInertia",
            CRH,
            Standing.NOT_CRH,
            _ENOUGH,
            Test("wasCRH", ">=", 1),
            Test("intercept", ">=", CRH_THRESHOLD - INERTIA),
            _MISLEADING,
        ),
        Rule("TagFilter", FIRM_REJECT, Standing.NOT_CRNH, tag_tests, tags),
        one(
            "FilterIncorrect",
            FIRM_REJECT,
            Standing.NOT_CRNH,
            Test("notHelpfulIncorrect_interval", ">=", 2),
            Test("num_voters_interval", ">=", 3),
            Test("tf_idf_incorrect_interval", ">=", 2.5),
        ),
        one("FilterLowDiligence", FIRM_REJECT, Standing.NOT_CRNH, Test("lowDiligenceNoteIntercept", ">", 0.263)),
        one("FilterLargeFactor", FIRM_REJECT, Standing.CRH, Test("absFactor", ">", 0.5)),
        one("RejectLowIntercept", FIRM_REJECT, Standing.NOT_CRNH, Test("intercept", "<", 0.3)),
        one("MinMinorityRaters", NEEDS_YOUR_HELP, Standing.CRH, Test("netMinHelpful", "<", 4)),
        one("RaterBalance", NEEDS_YOUR_HELP, Standing.CRH, _PLUS, _MINUS, Test("netMinHelpfulRatio", "<", 0.05)),
        one("NoHighVolIntercept", NEEDS_YOUR_HELP, Standing.CRH, Test("interceptNoHighVol", "<", 0.37)),
        one("NoCorrelatedIntercept", NEEDS_YOUR_HELP, Standing.CRH, Test("interceptNoCorrelated", "<", 0.37)),
    ]
    return tuple(rule for rule in rules if pseudo_raters or rule.name != "UcbCRNH")


def first_round_rules() -> tuple[Rule, ...]:
    """The rules of prescoring's first round: thresholds and diamond, and "not misleading"."""
    names = ("InitialNMR", "GeneralCRH", "GeneralCRNH", "NmCRNH")
    return tuple(rule for rule in core_rules(dict.fromkeys(NOT_HELPFUL_TAGS, np.inf)) if rule.name in names)


def _one(name: str, result: str, standing: Standing, *tests: Test) -> Rule:
    return Rule(name, result, standing, (tests,))


@dataclass(frozen=True)
class Verdicts:
    """Statuses inside the scorer, which rules acted (shape (rules, N)), and the tags that filtered each note."""

    rules: tuple[Rule, ...]
    status_N: np.ndarray
    acted_KN: np.ndarray
    filter_tags_N: np.ndarray

    def active_rules(self) -> list[str]:
        """For each note the rules that acted, in order, as official outputs write them."""
        names = [rule.official for rule in self.rules]
        return [",".join(n for n, acted in zip(names, row, strict=True) if acted) for row in self.acted_KN.T]

    def decided_by(self) -> list[str]:
        """For each note the last rule that acted."""
        last = len(self.rules) - 1 - np.argmax(self.acted_KN[::-1], axis=0)
        return [self.rules[k].official for k in last]


def apply_rules(rules: tuple[Rule, ...], columns: Columns) -> Verdicts:
    """Apply ``rules`` in order; each may overwrite the status the ones before it left."""
    size = len(columns["intercept"])
    status_N = np.full(size, "", dtype=object)
    acted = np.zeros((len(rules), size), bool)
    tags_N = np.full(size, "", dtype=object)
    for k, rule in enumerate(rules):
        matches = rule.matches(columns, status_N)
        acted[k] = matches.any(axis=0)
        if rule.labels:
            for n in np.flatnonzero(acted[k]):
                tags_N[n] = ",".join(label for label, hit in zip(rule.labels, matches[:, n], strict=True) if hit)
        status_N[acted[k]] = rule.result
    return Verdicts(rules, status_N, acted, tags_N)


def derived(columns: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Add what the rules compare and what follows from other columns: the diamond, the size of the factor, the mean."""
    columns["absFactor"] = np.abs(columns["factor"])
    columns["diamond"] = -0.05 - 0.8 * columns["absFactor"]
    if "negFactor_meanHelpfulNum" in columns:
        columns["meanOfSides"] = (columns["negFactor_meanHelpfulNum"] + columns["posFactor_meanHelpfulNum"]) / 2
    return columns
