"""A replay from tables to figures: walk, learn from the past, bet, compare."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from kolossos.errors import InputError
from kolossos.notes.bots.logistic import probability
from kolossos.notes.bots.panel import Panel, fit_panel
from kolossos.notes.bots.stake import Staking
from kolossos.notes.bots.walk import DAY, Walk, walk
from kolossos.notes.oracle.questions import LOCK_AFTER
from kolossos.notes.replay.labels import PILOT, SCORER, labels, labels_then
from kolossos.notes.replay.measure import calibration, compare
from kolossos.notes.replay.trade import Traded, trade
from kolossos.notes.score.columns import World
from kolossos.notes.score.prepare import prepare
from kolossos.notes.tables.read import Tables, read_tables

RATINGS = (0, 1, 2, 3, 5, 8, 10, 15)
MINUTES = (5, 15, 60)
PRICE, ENSEMBLE, BASE_RATE, TWO_FEATURES = "price", "ensemble", "base-rate", "two-features"
TRAIN_SHARE = 0.6
REFIT_EVERY = {PILOT: DAY, SCORER: 7 * DAY}  # ms


@dataclass(frozen=True)
class Played:
    """A replay: what happened in it, and who forecast what after each event."""

    world: World
    walk: Walk
    panel: Panel
    label_N: np.ndarray  # NaN: not asked
    tested_N: np.ndarray  # what was not learnt from
    post_N: np.ndarray
    log_odds_EB: np.ndarray
    traded: Traded
    seconds: dict[str, float]

    def forecasts(self, events: np.ndarray) -> dict[str, np.ndarray]:
        """Every forecaster's probability at these events: price, mean of the bots' log odds, base rate, each bot."""
        bots = {name: probability(self.log_odds_EB[events, i]) for i, name in enumerate(self.panel.names)}
        return {
            PRICE: self.traded.price_E[events],
            ENSEMBLE: probability(self.log_odds_EB[events].mean(1)),
            BASE_RATE: np.full(len(events), self.panel.base_rate),
            **bots,
        }

    def at_ratings(self, n: int) -> np.ndarray:
        """The events at which a tested note got its ``n``-th rating (0: its opening)."""
        return np.flatnonzero((self.walk.n_E == n) & self.tested_N[self.walk.note_E])

    def at_minutes(self, minutes: float) -> np.ndarray:
        """The last event of each tested note up to ``minutes`` after its opening."""
        age = self.walk.at_E - self.world.notes.created_N[self.walk.note_E]
        early = np.flatnonzero((age <= minutes * 60_000) & self.tested_N[self.walk.note_E])
        last = dict(zip(self.walk.note_E[early].tolist(), early.tolist(), strict=True))
        return np.array(sorted(last.values()), dtype=int)


def posts_of(tables: Tables, world: World) -> np.ndarray:
    """The number of each note's post; a note without one stands alone; shape N."""
    known = dict(zip(tables.notes["noteId"].to_list(), tables.notes["tweetId"].to_list(), strict=True))
    posts = [known.get(note) or -note for note in world.notes.id_N.tolist()]
    return np.unique(np.array(posts), return_inverse=True)[1]


def load(folder: Path, rule: str) -> tuple[Tables, World, np.ndarray]:
    """Tables, world and posts of ``folder``, prepared as the rule for labels asks."""
    tables = read_tables(folder)
    world = prepare(tables, pilot=rule == PILOT)
    return tables, world, posts_of(tables, world)


def learn(folder: Path, rule: str) -> Panel:
    """A panel fitted on all of another folder."""
    _, world, post_N = load(folder, rule)
    return fit_panel(walk(world, post_N), labels(rule, world), world.notes.created_N)


def play(
    folder: Path,
    rule: str,
    *,
    panel: Panel | None = None,
    known: dict[int, tuple[float, bool]] | None = None,
    staking: Staking | None = None,
    tell: Callable[[str], None] = lambda _: None,
) -> Played:
    """Replay ``folder``.

    Args:
        panel: bots that were fitted elsewhere; all notes are then tested. Without it the last 40 % of the notes that
            are asked about are tested; the bots learn when the first of these was written and again every day (pilot)
            or week, each time from what was known at that moment.
        known: instead of the rule, (label, tested) by note id.
    """
    seconds: dict[str, float] = {}

    def timed(name: str, act: Callable[[], Any]) -> Any:
        tell(name)
        start = time.process_time()
        made = act()
        seconds[name] = round(time.process_time() - start, 3)
        return made

    _, world, post_N = timed("read", lambda: load(folder, rule))
    label_N = timed("label", lambda: _labels(world, rule, known))
    walked: Walk = timed("walk", lambda: walk(world, post_N))
    created_N = world.notes.created_N
    if panel is None:
        tested_N, split = _split(world, label_N, known)
        panels = timed("learn", lambda: _refitted(world, walked, rule, split, tell))
    else:
        tested_N = ~np.isnan(label_N) if known is None else _tested(world, known)
        panels = [(-np.inf, panel)]
    assert panels
    log_odds = timed("forecast", lambda: _forecasts(walked, panels))
    ends = _ends(walked, created_N)
    first = panels[0][1]
    stakings = [
        replace(staking or Staking(), fraction=(staking or Staking()).fraction * first.trust[n]) for n in first.names
    ]
    played = timed("trade", lambda: trade(walked.note_E, log_odds, first.base_rate, label_N, ends, stakings=stakings))
    return Played(world, walked, first, label_N, tested_N, post_N, log_odds, played, seconds)


def _labels(world: World, rule: str, known: dict[int, tuple[float, bool]] | None) -> np.ndarray:
    if known is None:
        return labels(rule, world)
    return np.array([known.get(note, (np.nan, False))[0] for note in world.notes.id_N.tolist()], dtype=float)


def _tested(world: World, known: dict[int, tuple[float, bool]]) -> np.ndarray:
    return np.array([known.get(note, (0.0, False))[1] for note in world.notes.id_N.tolist()], dtype=bool)


def _split(world: World, label_N: np.ndarray, known: dict[int, tuple[float, bool]] | None) -> tuple[np.ndarray, float]:
    """Which notes are tested, and when the first of them was written."""
    asked, created = ~np.isnan(label_N), world.notes.created_N
    if known is not None:
        tested = _tested(world, known)
        return tested, float(created[tested].min())
    if asked.sum() < 10:
        raise InputError(f"{int(asked.sum())} notes with an answer: too few for a replay")
    split = np.sort(created[asked])[int(asked.sum() * TRAIN_SHARE)]
    return asked & (created >= split), float(split)


def _refitted(
    world: World, walked: Walk, rule: str, split: float, tell: Callable[[str], None]
) -> list[tuple[float, Panel]]:
    """A panel at ``split`` and at each later refit, each from what was known at its moment alone."""
    panels = []
    for moment in np.arange(split, walked.at_E[-1], REFIT_EVERY[rule]):
        tell(f"learn from what was known {(walked.at_E[-1] - moment) / DAY:.1f} days before the end")
        known_N = labels_then(rule, world, float(moment))
        panels.append((float(moment), fit_panel(walked, known_N, world.notes.created_N, float(moment))))
    return panels


def _forecasts(walked: Walk, panels: list[tuple[float, Panel]]) -> np.ndarray:
    """Each event's forecasts by the latest panel fitted before it; before the first there are none: the base rate."""
    first = panels[0][1]
    base = np.log(first.base_rate / (1 - first.base_rate))
    log_odds = np.full((len(walked.at_E), len(first.names)), base)
    starts = [*np.searchsorted(walked.at_E, [moment for moment, _ in panels]).tolist(), len(walked.at_E)]
    for (_, panel), (begin, end) in zip(panels, pairwise(starts), strict=True):
        if end > begin:
            log_odds[begin:end] = panel.log_odds(walked.rows_EK[begin:end])
    return log_odds


def _ends(walked: Walk, created_N: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    due = np.argsort(created_N, kind="stable")
    due = due[~np.isnan(created_N[due])]
    return np.searchsorted(created_N[due] + LOCK_AFTER, walked.at_E, side="right"), due


def figures(played: Played) -> dict[str, Any]:
    """Everything that the report tells, as plain values."""
    at = {}
    for kind, points, chosen in (("ratings", RATINGS, played.at_ratings), ("minutes", MINUTES, played.at_minutes)):
        for point in points:
            events = chosen(point)
            y = played.label_N[played.walk.note_E[events]]
            if len(events) >= 10 and y.any():
                post = played.post_N[played.walk.note_E[events]]
                row = compare(played.forecasts(events), y, post, TWO_FEATURES)
                age = played.walk.at_E[events] - played.world.notes.created_N[played.walk.note_E[events]]
                row["median_minutes"] = float(np.median(age)) / 60_000
                row["calibration"] = calibration(played.traded.price_E[events], y)
                at[f"{kind} {point}"] = row
    traded = played.traded
    return {
        "notes_tested": int(played.tested_N.sum()),
        "ratings": len(played.world.ratings),
        "base_rate_learnt": played.panel.base_rate,
        "trust": played.panel.trust,
        "penalties": {name: model.penalty for name, model in played.panel.models.items()},
        "at": at,
        "decisions": decisions(played),
        "market": {
            "trades": traded.trades, "subsidy": traded.subsidy, "bound": traded.bound, "settled": traded.settled,
            "wealth": dict(zip(played.panel.names, traded.wealth_B.tolist(), strict=True)),
        },
        "cpu_seconds": played.seconds,
    }  # fmt: skip


def decisions(played: Played, entry: float = 0.8, most_ratings: int = 15) -> dict[str, float]:
    """Tested notes whose price reached ``entry`` within ``most_ratings`` ratings: how many, how many rightly, when."""
    chosen = played.tested_N[played.walk.note_E] & (played.walk.n_E <= most_ratings)
    reached = np.flatnonzero(chosen & (played.traded.price_E >= entry))
    notes, first = np.unique(played.walk.note_E[reached], return_index=True)
    helpful = played.label_N[notes] == 1
    total = float(np.nansum(played.label_N[played.tested_N]))
    age = (played.walk.at_E[reached[first]] - played.world.notes.created_N[notes]) / 60_000
    return {
        "entry": entry,
        "most_ratings": most_ratings,
        "shown": len(notes),
        "rightly": int(helpful.sum()),
        "precision": float(helpful.mean()) if len(notes) else float("nan"),
        "recall": float(helpful.sum() / total) if total else float("nan"),
        "median_minutes": float(np.median(age)) if len(notes) else float("nan"),
    }
