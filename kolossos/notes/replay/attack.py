"""Somebody with a budget of ten liquidities tries to change decisions, or to earn: what it does to each.

The market of each tested note is played twice, alone and with the attacker, on the same events. The honest bots come
back to rest at every rating and a minute after every trade of the attacker; decisions are looked at again and again in
the first day. An attacker holds what is left until the note's answer is known.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np

from kolossos.notes.bots.stake import Staking, bet, limits, log_odds_of, resting_log_odds
from kolossos.notes.bots.walk import walk
from kolossos.notes.decide import Policy, decide
from kolossos.notes.ledger.path import PricePath
from kolossos.notes.market.lmsr import Lmsr
from kolossos.notes.replay.labels import scorer_labels
from kolossos.notes.replay.run import Played
from kolossos.notes.score.columns import Participants, Ratings, World

MINUTE, DAY = 60_000, 86_400_000
LOOKS = (1, 5, 15, 30, 31, 45)  # minutes after each event at which the decision is looked at
BUDGET = 10  # liquidities
RATE = 1_000_000
B = 1_000_000
WEALTH = 10_000_000_000
YES, NO = 0, 1


@dataclass
class Attacker:
    """Money and shares of whoever attacks one market."""

    market: Lmsr
    cash: int = BUDGET * B
    units: list[int] = field(default_factory=lambda: [0, 0])

    def buy(self, side: int, budget: int) -> None:
        """Spend up to ``budget`` on a side."""
        budget = min(budget, self.cash)
        units = self.market.units_for(side, budget) if budget > 0 else 0
        if units:
            self.cash -= self.market.apply(self.market.buy(side, units))
            self.units[side] += units

    def sell(self, side: int) -> None:
        """Sell all of a side."""
        if self.units[side]:
            self.cash -= self.market.apply(self.market.sell(side, self.units[side]))
            self.units[side] = 0

    def worth(self, answer: float) -> int:
        """What it all is worth when the answer is known, less what it began with."""
        return self.cash + self.units[YES if answer else NO] - BUDGET * B


Action = Callable[[Attacker], None]
Plan = list[tuple[int, Action]]  # ms after the market opened


def push(at: int = 60 * MINUTE) -> Plan:
    """Everything on yes, once."""
    return [(at, lambda a: a.buy(YES, a.cash))]


def long_push() -> Plan:
    """A tenth of the budget on yes every three minutes of half an hour, so that the price stands."""
    return [(60 * MINUTE + i * 3 * MINUTE, lambda a: a.buy(YES, BUDGET * B // 10)) for i in range(10)]


def wash() -> Plan:
    """Buy and sell again thirty times, to look busy."""
    return [(60 * MINUTE + i * 2 * MINUTE + j * 1_000, act) for i in range(30) for j, act in enumerate(_WASH)]


_WASH: tuple[Action, Action] = (lambda a: a.buy(YES, B), lambda a: a.sell(YES))


def sybils() -> Plan:
    """Two accounts of one owner take both sides at the opening, for the subsidy."""
    return [(1_000, lambda a: a.buy(YES, a.cash // 2)), (2_000, lambda a: a.buy(NO, a.cash))]


def flip() -> Plan:
    """Push until the note may be shown, then sell."""
    return [*long_push(), (120 * MINUTE, lambda a: a.sell(YES))]


def author() -> Plan:
    """Friends of the author buy at the opening and hold."""
    return [(1_000, lambda a: a.buy(YES, a.cash))]


def against() -> Plan:
    """Somebody wants a good note not to be shown: everything on no, in ten parts."""
    return [(60 * MINUTE + i * 3 * MINUTE, lambda a: a.buy(NO, BUDGET * B // 10)) for i in range(10)]


def copy() -> Plan:
    """Buy whichever side has become likelier, ten minutes after each of six moments, and sell at the end of a day."""

    def follow(a: Attacker) -> None:
        a.buy(YES if a.market.price(0) > _remembered(a) else NO, BUDGET * B // 6)
        a.seen = a.market.price(0)  # type: ignore[attr-defined]

    def out(a: Attacker) -> None:
        a.sell(YES)
        a.sell(NO)

    return [*((i * 60 * MINUTE, follow) for i in range(1, 7)), (DAY - MINUTE, out)]


def _remembered(a: Attacker) -> float:
    return getattr(a, "seen", 0.5)


SCENARIOS: dict[str, Callable[[], Plan]] = {
    "push before the decision": push,
    "push that stands": long_push,
    "push against a note": against,
    "wash trades": wash,
    "sybils on both sides": sybils,
    "copycat": copy,
    "shown, then sold": flip,
    "author and friends": author,
}


def simulate(
    played: Played, note: int, plan: Plan, policy: Policy, *, obeys: bool = False, snipe: bool = False
) -> tuple[bool, int]:
    """(whether the note was shown within a day, the attacker's profit). ``obeys``: one more bot that says yes whatever
    is asked; ``snipe``: everything on the true answer just before it is known."""
    walk, names = played.walk, played.panel.names
    events = np.flatnonzero(walk.note_E == note)
    opened = int(walk.at_E[events[0]])
    base = played.panel.base_rate
    yes = round(base * RATE)
    market = Lmsr(B, [yes, RATE - yes])
    attacker, path = Attacker(market), PricePath(opened, market.prices_ppm())
    opening = math.log(yes / (RATE - yes))
    crowd = _Crowd(market, [played.panel.trust[n] for n in names], opening, obeys)
    steps: list[tuple[int, int, Any]] = [(int(walk.at_E[e]), 0, int(e)) for e in events if walk.at_E[e] < opened + DAY]
    steps += [(opened + after, 1, action) for after, action in plan]
    steps += [(opened + after + MINUTE, 2, None) for after, _ in plan]
    moments = {at + look * MINUTE for at, _, _ in steps for look in LOOKS}
    steps += [(at, 3, None) for at in moments]
    forecasts: list[float] = [opening] * len(names)
    shown, ever, since = False, False, 0
    for at, kind, what in sorted(steps, key=lambda step: (step[0], step[1])):
        if kind == 0:
            forecasts = played.log_odds_EB[what].tolist()
            crowd.rest(forecasts)
        elif kind == 1:
            what(attacker)
        elif kind == 2:
            crowd.rest(forecasts)
        else:
            decision = decide(policy, str(note), path, at, shown_since=since if shown else None)
            since = at if decision.shown and not shown else since
            shown = decision.shown
            ever = ever or shown
            continue
        path.move(at, market.prices_ppm())
    answer = float(played.label_N[note])
    if snipe:
        attacker.buy(YES if answer else NO, attacker.cash)
    return ever, attacker.worth(answer)


class _Crowd:
    """The honest bots of one market."""

    def __init__(self, market: Lmsr, trust: list[float], opening: float, obeys: bool) -> None:
        self.market, self.opening, self.obeys = market, opening, obeys
        trust = [*trust, sum(trust) / len(trust)] if obeys else trust
        habits = Staking()
        self.stakes = [WEALTH * habits.slice * habits.fraction * t for t in trust]
        self.left = [int(WEALTH * habits.slice)] * len(trust)
        self.units = [[0, 0] for _ in trust]

    def rest(self, forecasts: list[float]) -> None:
        """Trade until nobody wants to, the attacker's shares being where they are."""
        if self.obeys:
            forecasts = [*forecasts, log_odds_of(0.999)]
        bounds = [limits(left, *units) for left, units in zip(self.left, self.units, strict=True)]
        mine = sum(u[0] - u[1] for u in self.units)
        theirs = (self.market.quantities[0] - self.market.quantities[1]) - mine
        anchor = self.opening + theirs / self.market.b  # where the price would be without the crowd
        rests = resting_log_odds(anchor, self.market.b, forecasts, self.stakes, bounds)
        for i, (forecast, stake) in enumerate(zip(forecasts, self.stakes, strict=True)):
            units = self.units[i]
            wish = bet(forecast, rests, stake, units[0] - units[1], bounds[i])
            side, amount = (YES, wish) if wish > 0 else (NO, -wish)
            if amount > 0.02 * stake:
                self.left[i] -= self.market.apply(self.market.buy(side, amount))
                units[side] += amount
                pairs = min(units)
                self.market.add_sets(-pairs)
                self.left[i] += pairs
                units[0], units[1] = units[0] - pairs, units[1] - pairs


def attacks(
    played: Played, notes: np.ndarray, policy: Policy, tell: Callable[[str], None] = lambda _: None
) -> dict[str, Any]:
    """Every scenario on every one of ``notes``: the share of decisions that it changed, and its mean profit."""
    tell("alone")
    alone = [simulate(played, note, [], policy)[0] for note in notes.tolist()]
    found: dict[str, Any] = {"notes": len(notes), "shown_alone": sum(alone), "budget": BUDGET * B}
    rows = {}
    for name, plan in SCENARIOS.items():
        tell(name)
        rows[name] = _row([simulate(played, note, plan(), policy) for note in notes.tolist()], alone)
    tell("a bot that obeys the post")
    rows["instructions in a post, obeyed by one bot"] = _row(
        [simulate(played, note, [], policy, obeys=True) for note in notes.tolist()], alone
    )
    tell("late snipe")
    rows["late snipe by one who knows"] = _row(
        [simulate(played, note, [], policy, snipe=True) for note in notes.tolist()], alone
    )
    tell("ratings bought by who holds yes")
    bought = with_bought_ratings(played, notes)
    rows["five ratings bought by who holds yes"] = _row(
        [simulate(bought, note, author(), policy) for note in notes.tolist()], alone
    )
    return {**found, "scenarios": rows}


def with_bought_ratings(played: Played, notes: np.ndarray, count: int = 5, after: int = 30 * MINUTE) -> Played:
    """The same world in which each of ``notes`` gets ``count`` "helpful" ratings by new raters ``after`` ms: forecasts
    and answers made anew."""
    world = played.world
    ratings, people = world.ratings, world.participants
    added = len(notes) * count
    at = np.repeat(world.notes.created_N[notes], count) + after + np.tile(np.arange(count), len(notes)) * 1_000
    new = {
        "note_R": np.repeat(notes, count), "rater_R": len(people) + np.arange(added), "answer_R": np.ones(added),
        "created_R": at,
    }  # fmt: skip
    columns = {}
    for column in fields(ratings):
        old = getattr(ratings, column.name)
        more = new.get(column.name, np.zeros(added))
        columns[column.name] = np.concatenate([old, np.asarray(more).astype(old.dtype)])
    order = np.lexsort((columns["rater_R"], columns["note_R"]))
    names = np.array([f"~{i:09d}" for i in range(added)], dtype=object)  # after all others in order
    more_people = Participants(
        np.concatenate([people.id_P.astype(object), names]),
        np.concatenate([people.group_P, np.full(added, np.nan)]),
        np.concatenate([people.enrolled_P, np.zeros(added, bool)]),
    )
    altered = replace(world, ratings=Ratings(**columns).where(order), participants=more_people)
    walked = walk(altered, played.post_N)
    log_odds = played.panel.log_odds(walked.rows_EK)
    return replace(played, world=altered, walk=walked, log_odds_EB=log_odds, label_N=_answers(altered, played.label_N))


def _answers(world: World, before: np.ndarray) -> np.ndarray:
    after = scorer_labels(world)
    return np.where(np.isnan(after), before, after)


def _row(results: list[tuple[bool, int]], alone: list[bool]) -> dict[str, float]:
    changed = [after != before for (after, _), before in zip(results, alone, strict=True)]
    profit = np.array([p for _, p in results], float)
    half = 1.96 * profit.std() / math.sqrt(len(profit))
    return {
        "changed": sum(changed),
        "changed_share": sum(changed) / len(changed),
        "profit_mean": float(profit.mean()),
        "profit_low": float(profit.mean() - half),
        "profit_high": float(profit.mean() + half),
    }
