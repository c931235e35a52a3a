"""Random asks from several processes at once, killed at random moments; afterwards the whole log is verified.

    python benchmarks/notes/money.py --asks 100000 --kills 20                 # SQLite
    python benchmarks/notes/money.py --asks 100000 --kills 20 --postgres      # a PostgreSQL that it starts itself

A process that has been told "done" may count on it: each notes the number of the last event that it was told of, and
the log must hold it. Everything else is `kolossos.notes.ledger.verify`.
"""

import argparse
import json
import multiprocessing
import os
import random
import signal
import sys
import tempfile
import time
from datetime import date
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests"))
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests/notes/ledger"))
from postgres_server import PostgresServer  # pyright: ignore[reportMissingImports]
from random_asks import RandomAsks  # pyright: ignore[reportMissingImports]

from kolossos.notes.ledger.ledger import Ledger
from kolossos.notes.ledger.store import open_store
from kolossos.notes.ledger.verify import verify

FORK = multiprocessing.get_context("fork")


def work(where: str, seed: int, shared) -> None:
    """Ask until killed or told to stop; ``shared``: asks answered, events made, last event told, stop."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    stream = RandomAsks(seed, name=f"{seed}x")
    ledger = Ledger(where)
    while not shared[3]:
        with ledger.reading() as book:
            asks = stream.asks(book, stream.draw.choice([1, 5, 50, 200, 400]))
        answers = [a for a in ledger.submit(asks) if isinstance(a, dict) and "seq" in a]
        shared[0] += len(asks)
        shared[1] += len(answers)
        if answers:
            shared[2] = max(a["seq"] for a in answers)


def storm(where: str, asks: int, kills: int, processes: int, seed: int) -> dict:
    """Run it; the counts, and what `verify` counted."""
    draw = random.Random(seed)
    counts = [FORK.Array("q", 4, lock=False) for _ in range(processes)]
    workers = [
        FORK.Process(target=work, args=(where, seed * 10**6 + i, counts[i]), daemon=True) for i in range(processes)
    ]
    for worker in workers:
        worker.start()
    started, killed, told, shown = time.perf_counter(), 0, 0, 0.0
    while killed < kills or sum(c[0] for c in counts) < asks:
        time.sleep(draw.expovariate(1 / 0.2) if killed < kills else 0.5)
        told = max(told, *(c[2] for c in counts))
        for worker in workers:
            if not worker.is_alive() and worker.exitcode != -signal.SIGKILL:
                raise SystemExit(f"a process ended by itself with {worker.exitcode}")
        if killed < kills:
            i = draw.randrange(processes)
            os.kill(workers[i].pid or 0, signal.SIGKILL)
            workers[i].join()
            killed += 1
            again = (where, seed * 10**6 + processes * (killed + 1) + i, counts[i])
            workers[i] = FORK.Process(target=work, args=again, daemon=True)
            workers[i].start()
        if time.perf_counter() - shown > 20:
            shown = time.perf_counter()
            print(f"{shown - started:5.0f} s: {sum(c[0] for c in counts):,} asks, {killed} kills", file=sys.stderr)
    for c in counts:
        c[3] = 1
    for worker in workers:
        worker.join()
    seconds = time.perf_counter() - started
    told = max(told, *(c[2] for c in counts))
    store = open_store(where)
    counted = verify(store)
    if counted["events"] < told:
        raise SystemExit(f"somebody was told of event {told}, the log ends at {counted['events']}")
    return {"asks": sum(c[0] for c in counts), "kills": killed, "seconds": round(seconds, 1), "verified": counted}


def main() -> None:
    """Storm one ledger and print or keep what was counted."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--asks", type=int, default=100_000)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--processes", type=int, default=3)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--postgres", action="store_true")
    parser.add_argument("--keep", action="store_true", help="write the counts under benchmarks/results")
    args = parser.parse_args()
    server = PostgresServer() if args.postgres else None
    with tempfile.TemporaryDirectory() as folder:
        where = server.url if server else str(Path(folder) / "ledger.db")
        try:
            counts = storm(where, args.asks, args.kills, args.processes, args.seed)
        finally:
            if server:
                server.stop()
    counts = {"store": "PostgreSQL" if server else "SQLite", "processes": args.processes, "seed": args.seed, **counts}
    print(json.dumps(counts))
    if args.keep:
        name = f"notes-money-{counts['store'].lower()}-{date.today()}.json"
        path = Path(__file__).resolve().parents[1] / "results" / name
        path.write_text(json.dumps(counts, indent=1) + "\n")


if __name__ == "__main__":
    main()
