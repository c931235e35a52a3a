"""Hostile tables for `kolossos notes read` and `score`, hostile requests for the service: one clear error or an answer.

    python benchmarks/robustness/fuzz_notes.py --tables 2000 --requests 5000

Tables are those of a synthetic world with bytes changed, rows cut, columns renamed or moved; requests are bodies, paths
and headers of every kind. A traceback, a status of 500 or above, or a ledger that does not verify: exit code 1.
"""

import argparse
import json
import random
import shutil
import sys
import tempfile
import threading
import time
import traceback
from pathlib import Path
from typing import Any

import httpx
import uvicorn

from kolossos.errors import InputError
from kolossos.listening import listen
from kolossos.notes.ledger.ledger import Ledger
from kolossos.notes.ledger.store import open_store
from kolossos.notes.ledger.verify import verify
from kolossos.notes.score.prepare import prepare
from kolossos.notes.score.run import score
from kolossos.notes.serve.app import make_app
from kolossos.notes.serve.desk import Desk
from kolossos.notes.serve.keys import new_key
from kolossos.notes.tables.contradictions import contradictions
from kolossos.notes.tables.generate import Size, generate_world, write_world
from kolossos.notes.tables.read import read_tables

STRANGE = tuple(
    text.encode("utf-8", "surrogateescape")
    for text in ("\x00", "\udcff\udcfe", "NaN", "inf", "-1", "1e308", "99999999999999999999", "\t", "\n", '"', "é")
)
VALUES: tuple[Any, ...] = (
    None, True, 0, 1, -1, 10**6, 10**15, 10**30, 0.5, float("1e400"), "", "yes", "no", "x" * 70, "\x00", [], {}, [[]],
    "n1", "123", {"a": 1}, "EVER_HELPFUL", "buy", "sell", "against", "redeem", "take", "order", 500_000,
)  # fmt: skip
FIELDS = (
    "do", "outcome", "units", "budget", "most", "least", "limit_ppm", "price_ppm", "name", "role", "credits", "note",
    "b", "snapshot",
    "weights", "outcomes", "closes", "criterion", "by", "mode", "why", "share_ppm", "ratings", "helpful",
)  # fmt: skip
PATHS = (
    "/v1/markets", "/v1/markets/n1", "/v1/markets/n1/trades", "/v1/markets/n1/settle", "/v1/markets/n1/halt",
    "/v1/markets/n1/go_on", "/v1/markets/n1/propose", "/v1/markets/n1/challenge", "/v1/markets/n1/ratings",
    "/v1/markets/n1/candidates", "/v1/markets/p1/trades", "/v1/markets/p1/orders/5", "/v1/people", "/v1/people/ann",
    "/v1/people/ann/credits", "/v1/people/ann/key", "/v1/me", "/v1/figures", "/v1/standings", "/v1/worth-rating",
    "/v1/treasury", "/v1/markets/%00", "/v1/markets/..%2f..%2fx",
    "/v1/markets/" + "x" * 3000, "/health", "/", "/nothing",
)  # fmt: skip


def spoiled(content: bytes, draw: random.Random) -> bytes:
    """A table with something wrong."""
    kind = draw.random()
    lines = content.split(b"\n")
    if kind < 0.35:
        for _ in range(draw.choice([1, 3, 20])):
            at = draw.randrange(len(content))
            content = content[:at] + draw.choice(STRANGE) + content[at + draw.randrange(3) :]
        return content
    if kind < 0.5:
        return content[: draw.randrange(len(content))]
    if kind < 0.65:
        cells = lines[0].split(b"\t")
        cells[draw.randrange(len(cells))] = draw.choice([b"", b"noteId", b"x", cells[0]])
        return b"\n".join([b"\t".join(cells), *lines[1:]])
    if kind < 0.8:
        draw.shuffle(lines)
        return b"\n".join(lines)
    row = lines[1 + draw.randrange(max(len(lines) - 2, 1))].split(b"\t")
    row[draw.randrange(len(row))] = draw.choice(STRANGE)
    return b"\n".join([*lines[:1], b"\t".join(row), *lines[1:]])


def tables(count: int, draw: random.Random) -> int:
    """How many of ``count`` spoiled folders ended in anything but a reading or one line."""
    bad = 0
    with tempfile.TemporaryDirectory() as name:
        world, folder = Path(name) / "world", Path(name) / "spoiled"
        write_world(generate_world(Size(notes=60, raters=40, ratings=900, days=20), 1), world)
        files = [path for path in world.iterdir() if path.suffix == ".tsv" and not path.name.startswith("truth")]
        for i in range(count):
            shutil.rmtree(folder, ignore_errors=True)
            shutil.copytree(world, folder)
            chosen = draw.choice(files).name
            (folder / chosen).write_bytes(spoiled((world / chosen).read_bytes(), draw))
            try:
                read = read_tables(folder)
                contradictions(read)
                if i % 5 == 0:
                    score(prepare(read))
            except InputError as error:
                if "\n" in str(error) or len(str(error)) > 600:
                    bad += 1
                    print(f"not one line: {error!r:.300}")
            except Exception:
                bad += 1
                traceback.print_exc()
                shutil.copy(folder / chosen, Path(tempfile.gettempdir()) / f"fuzz-notes-{i}-{chosen}")
    return bad


def requests(count: int, draw: random.Random) -> int:
    """How many of ``count`` requests were answered with 500 or more, plus one if the ledger does not verify."""
    bad = 0
    with tempfile.TemporaryDirectory() as name:
        ledger, keys = Ledger(Path(name) / "l.db"), {}
        ledger.one("grant", by="system", to="treasury", credits=10**13)
        for who, role in (("olga", "operator"), ("ann", "bot"), ("bob", "rater"), ("axel", "auditor")):
            keys[who], digest = new_key()
            ledger.one("join", by="system", name=who, role=role, credits=10**9, key_sha256=digest)
        bound = listen("127.0.0.1", 0)
        address = f"http://127.0.0.1:{bound.getsockname()[1]}"
        server = uvicorn.Server(
            uvicorn.Config(make_app(Desk(ledger), per_second=1e6, burst=10**6), log_level="critical")
        )
        thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]})
        thread.start()
        while not server.started:
            time.sleep(0.02)
        with httpx.Client(base_url=address, timeout=30) as client:
            operator = {"Authorization": f"Bearer {keys['olga']}"}
            for i in range(count):
                if i % 100 == 0:  # something to be hostile to
                    client.post("/v1/markets", json={"name": f"n{i}", "note": "1", "b": 10**6}, headers=operator)
                    client.post("/v1/markets", json={"name": f"p{i}", "note": "1", "funding": 10**6}, headers=operator)
                path = draw.choice(PATHS).replace("n1", f"n{i // 100 * 100}").replace("p1", f"p{i // 100 * 100}")
                who = draw.choice(["olga", "ann", "ann", "bob", "axel", "", "wrong"])
                headers = {"Authorization": f"Bearer {keys.get(who, who)}"} if who else {}
                if draw.random() < 0.2:
                    headers["Idempotency-Key"] = draw.choice(["a", "k" * 101, "b"])
                body = {draw.choice(FIELDS): draw.choice(VALUES) for _ in range(draw.randrange(5))}
                content = json.dumps(body).encode()
                if draw.random() < 0.15:
                    content = draw.choice([b"{", b"[" * 60_000, b"\xff", b"", b"null", content[:-1], b"x" * 70_000])
                headers["Content-Type"] = "application/json"
                method = draw.choice(["POST", "POST", "POST", "GET", "DELETE", "PUT"])
                answer = client.request(method, path, content=content, headers=headers)
                if answer.status_code >= 500:
                    bad += 1
                    print(f"{answer.status_code}: {method} {path:.60} {content[:200]!r}")
        server.should_exit = True
        thread.join(30)
        print(verify(open_store(str(Path(name) / "l.db"))), file=sys.stderr)
    return bad


def main() -> None:
    """Fuzz both; exit code 1 if anything was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tables", type=int, default=2_000)
    parser.add_argument("--requests", type=int, default=5_000)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    found = {
        "tables": args.tables, "bad_tables": tables(args.tables, random.Random(args.seed)),
        "requests": args.requests, "bad_requests": requests(args.requests, random.Random(args.seed)),
    }  # fmt: skip
    print(json.dumps(found))
    sys.exit(1 if found["bad_tables"] or found["bad_requests"] else 0)


if __name__ == "__main__":
    main()
