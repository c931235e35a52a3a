"""Trades a second in memory and on the disk, and a replay with a decision at every rating.

    python benchmarks/notes/market_speed.py [--write]

The disk's own rate of synced writes stands beside: a synced trade cannot be faster.
"""

import argparse
import json
import os
import random
import tempfile
import time
from datetime import date
from pathlib import Path
from typing import Any

from kolossos.notes.ledger.ledger import Ask, Ledger
from kolossos.notes.market.lmsr import Lmsr
from kolossos.notes.replay.labels import SCORER
from kolossos.notes.replay.run import play
from kolossos.notes.tables.generate import Size, generate_world, write_world

RESULT = Path(__file__).resolve().parents[1] / "results" / "notes_market_speed.json"
BATCHES = ((1, 1_500), (100, 20_000), (1_000, 40_000))


def in_memory(outcomes: int, count: int = 60_000) -> float:
    """Purchases a second in one market of so many outcomes."""
    draw, market = random.Random(1), Lmsr(10_000_000, [1] * outcomes)
    asks = [(draw.randrange(outcomes), draw.randrange(1, 10**6)) for _ in range(count)]
    start = time.perf_counter()
    for outcome, units in asks:
        market.apply(market.buy(outcome, units))
    return count / (time.perf_counter() - start)


def on_disk(folder: Path, batch: int, count: int) -> float:
    """Durable purchases a second, by 20 people in 5 markets, so many to a transaction of the store."""
    draw, ledger = random.Random(2), Ledger(folder / f"ledger-{batch}.db")
    ledger.one("grant", by="system", to="treasury", credits=10**13)
    for i in range(20):
        ledger.one("join", by="system", name=f"u{i}", role="bot", credits=10**12)
    for i in range(5):
        ledger.one("open", by="system", name=f"m{i}", question={}, closes=2**52, b=10**8)

    def ask() -> Ask:
        values = {"user": f"u{draw.randrange(20)}", "market": f"m{draw.randrange(5)}"}
        return Ask("buy", {**values, "outcome": draw.choice(["yes", "no"]), "units": draw.randrange(1, 10**6)})

    batches = [[ask() for _ in range(batch)] for _ in range(count // batch)]
    start = time.perf_counter()
    for asks in batches:
        ledger.submit(asks)
    rate = count / (time.perf_counter() - start)
    ledger.close()
    return rate


def best_on_disk(folder: Path, batch: int, count: int) -> float:
    """The best of three."""
    rates = []
    for i in range(3):
        place = folder / f"{batch}-{i}"
        place.mkdir()
        rates.append(on_disk(place, batch, count))
    return max(rates)


def synced_writes(folder: Path, count: int = 500) -> float:
    """Writes of 4 KiB that are synced, a second."""
    descriptor = os.open(folder / "raw", os.O_WRONLY | os.O_CREAT)
    start = time.perf_counter()
    for _ in range(count):
        os.write(descriptor, b"x" * 4096)
        os.fdatasync(descriptor)
    rate = count / (time.perf_counter() - start)
    os.close(descriptor)
    return rate


def replay(folder: Path) -> dict[str, Any]:
    """CPU seconds of the parts of a replay of 50,000 ratings."""
    write_world(generate_world(Size(notes=1_500, raters=800, ratings=50_000, days=60), 1), folder / "world")
    write_world(generate_world(Size(notes=400, raters=300, ratings=10_000, days=60), 2), folder / "small")
    play(folder / "small", SCORER)  # compiles what is compiled
    played = play(folder / "world", SCORER)
    return {"ratings": len(played.world.ratings), "trades": played.traded.trades, "cpu_seconds": played.seconds}


def main() -> None:
    """Measure, print, and keep where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        found = {
            "date": date.today().isoformat(),
            "in_memory_per_s": {str(n): round(max(in_memory(n) for _ in range(3))) for n in (2, 20)},
            "durable_per_s": {str(n): round(best_on_disk(folder, n, c)) for n, c in BATCHES},
            "synced_writes_per_s": round(synced_writes(folder)),
            "replay": replay(folder),
        }
    print(json.dumps(found, indent=1))
    if args.write:
        RESULT.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
