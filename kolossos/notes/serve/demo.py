"""A platform in miniature: a synthetic world, its last days played into a ledger by bots, and on while one looks."""

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kolossos.errors import InputError
from kolossos.notes.bots.stake import Staking, bet, limits, resting_log_odds
from kolossos.notes.decide import Policy
from kolossos.notes.ledger.book import SYSTEM, TREASURY
from kolossos.notes.ledger.ledger import Ask, Ledger
from kolossos.notes.ledger.life import NO, YES
from kolossos.notes.oracle.questions import HELPFUL_AT_LOCK, LOCK_AFTER, question
from kolossos.notes.replay.labels import SCORER
from kolossos.notes.replay.run import Played, play
from kolossos.notes.replay.trade import LEAST_TRADE
from kolossos.notes.serve.clerk import decisions
from kolossos.notes.serve.keys import new_key
from kolossos.notes.tables.generate import Size, generate_world, write_world

WORLD = Size(notes=700, raters=420, ratings=24_000, days=45)
LAST_DAYS = 10  # of the world's time that go into the ledger
LIVE_SHARE = 0.15  # of their events that are played while the page is open
LIVE_EVENTS_PER_S = 2.0
TOGETHER = 5 * 60_000  # ms of the world that go into one transaction of the store
WEALTH = 10_000_000_000
B = 1_000_000
GUEST = "guest"


@dataclass
class Demo:
    """What was prepared."""

    ledger: Ledger
    played: Played
    folder: Path
    keys: dict[str, str]
    live: list[list[int]]
    offset: int
    clock: "Clock"


class Clock:
    """The ledger's time: the world's, moved so that it ends now; the real one once it is let go."""

    def __init__(self) -> None:
        self.ms: int | None = None

    def __call__(self) -> int:
        return time.time_ns() // 1_000_000 if self.ms is None else self.ms


def prepare(folder: Path, seed: int, tell: Callable[[str], None]) -> Demo:
    """Make the world, replay it, and play its last days into a new ledger in ``folder``."""
    if folder.exists() and any(folder.iterdir()):
        raise InputError(f"{folder} is not empty: give a folder that the demonstration may make")
    folder.mkdir(parents=True, exist_ok=True)
    tell("a synthetic world")
    write_world(generate_world(WORLD, seed), folder / "tables")
    played = play(folder / "tables", SCORER, tell=tell)
    clock = Clock()
    ledger = Ledger(folder / "ledger.db", clock)
    walk = played.walk
    end = int(walk.at_E[-1])
    offset = time.time_ns() // 1_000_000 - end
    recent = played.world.notes.created_N >= end - LAST_DAYS * 86_400_000
    events = np.flatnonzero(recent[walk.note_E])
    cut = int(len(events) * (1 - LIVE_SHARE))
    clock.ms = int(walk.at_E[events[0]]) + offset
    keys = _people(ledger, played.panel.names)
    tell(f"{int(recent.sum())} notes of the last {LAST_DAYS} days into the ledger")
    crowd, waiting = Crowd(played, offset), []
    for e in events[:cut].tolist():
        at = int(walk.at_E[e]) + offset
        if at >= clock.ms + TOGETHER and waiting:
            ledger.submit(waiting)
            waiting, clock.ms = [], at
        waiting += [ask for asks in crowd.asks(e) for ask in asks]
    ledger.submit(waiting)
    with ledger.reading() as book:
        asks = decisions(book, book.at, Policy())
    ledger.submit(asks)
    clock.ms = None
    return Demo(ledger, played, folder, keys, [[e] for e in events[cut:].tolist()], offset, clock)


def _people(ledger: Ledger, bots: tuple[str, ...]) -> dict[str, str]:
    keys = {}
    ledger.one("grant", by=SYSTEM, to=TREASURY, credits=10**12)
    for name, role, credits in (
        ("operator", "operator", 0),
        ("auditor", "auditor", 0),
        (GUEST, "rater", 1_000_000_000),
        *((bot, "bot", WEALTH) for bot in bots),
    ):
        keys[name], digest = new_key()
        ledger.one("join", by=SYSTEM, name=name, role=role, credits=credits, key_sha256=digest)
    return keys


class Crowd:
    """The bots of a replay as customers of a ledger: what each asks for after an event."""

    def __init__(self, played: Played, offset: int) -> None:
        self.played, self.offset = played, offset
        self.names = played.panel.names
        self.slice = WEALTH * Staking().slice
        self.stakes = [WEALTH * Staking().slice * Staking().fraction * played.panel.trust[n] for n in self.names]
        self.holds: dict[tuple[int, str], list[int]] = {}
        base = played.panel.base_rate
        self.opening = float(np.log(base / (1 - base)))
        self.helpful: dict[int, int] = {}

    def asks(self, event: int) -> Iterator[list[Ask]]:
        """Opening and observation first, then every bot's purchase, then the sets that it gives back."""
        walk, world = self.played.walk, self.played.world
        note = int(walk.note_E[event])
        name, rating = f"n{world.notes.id_N[note]}", int(walk.rating_E[event])
        if rating < 0:
            yield [Ask("open", self._market(note, name))]
        else:
            self.helpful[note] = self.helpful.get(note, 0) + int(world.ratings.answer_R[rating] == 1.0)
            n = int(walk.n_E[event])
            yield [Ask("observe", {"by": SYSTEM, "market": name, "ratings": n, "helpful": self.helpful[note]})]
        forecasts = self.played.log_odds_EB[event].tolist()
        holds = [self.holds.setdefault((note, bot), [0, 0]) for bot in self.names]
        bounds = [limits(self.slice, *has) for has in holds]
        rests = resting_log_odds(self.opening, B, forecasts, self.stakes, bounds)
        buys, backs = [], []
        for i, (bot, has) in enumerate(zip(self.names, holds, strict=True)):
            wish = bet(forecasts[i], rests, self.stakes[i], has[0] - has[1], bounds[i])
            if abs(wish) < LEAST_TRADE * self.stakes[i]:
                continue
            side = 0 if wish > 0 else 1
            values = {"user": bot, "market": name}
            buys.append(Ask("buy", {**values, "outcome": (YES, NO)[side], "units": abs(wish)}))
            has[side] += abs(wish)
            if pairs := min(has):
                backs.append(Ask("redeem", {**values, "units": pairs}))
                has[0], has[1] = has[0] - pairs, has[1] - pairs
        if buys:
            yield buys + backs

    def _market(self, note: int, name: str) -> dict[str, Any]:
        notes = self.played.world.notes
        yes = round(self.played.panel.base_rate * 1_000)
        asked = question(
            HELPFUL_AT_LOCK,
            str(notes.id_N[note]),
            post_text=f"A post of the synthetic world (number {self.played.post_N[note]}).",
            note_text=f"A note of the synthetic world, written by author {notes.author_N[note]}.",
        )
        closes = int(notes.created_N[note]) + self.offset + LOCK_AFTER
        return {"by": SYSTEM, "name": name, "question": asked, "closes": closes, "b": B, "weights": [yes, 1_000 - yes]}


def play_on(demo: Demo, put: Callable[[Ask], Any], stop: threading.Event) -> threading.Thread:
    """Play what is left of the world through ``put``, a few events a second, until ``stop``."""
    crowd = Crowd(demo.played, demo.offset)
    with demo.ledger.reading() as book:
        for market in book.markets.values():
            note = int(np.searchsorted(demo.played.world.notes.id_N, int(market.question["note"])))
            for bot in crowd.names:
                crowd.holds[note, bot] = [book.balance(bot, market.share(i)) for i in (0, 1)]
            crowd.helpful[note] = (market.ratings or [0, 0])[1]

    def work() -> None:
        for events in demo.live:
            for event in events:
                for asks in crowd.asks(event):
                    for future in [put(ask) for ask in asks]:
                        future.exception()
            if stop.wait(1 / LIVE_EVENTS_PER_S):
                return

    thread = threading.Thread(target=work, name="world", daemon=True)
    thread.start()
    return thread
