"""A million posts: how fast they are indexed by words, how fast they are found, and what that takes.

python benchmarks/ground/million.py [--posts 1000000] [--data FOLDER] [--write]

Posts are synthetic: one to three sentences of real texts (the documentation in Python's standard library; with --data
also the paragraphs of xquad.en.json there), put together at random, with 20,000 authors, five years of dates, three
languages, and notes on one post in a hundred. The index is made by the command, of JSON Lines, in a process of its
own on two cores; so are 1,000 mixed queries, one in ten with recency, each through parsing, search, folding and
snippets. Memory is the largest resident set of each process; the pages of the index that the system keeps mapped
count in it.
"""

import argparse
import ast
import json
import os
import random
import re
import resource
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from machine import describe
from pages import RESULTS

AUTHORS = 20_000
QUERIES = 1_000
LANGUAGES = ("en", "en", "en", "en", "", "de", "es")
START = datetime(2020, 1, 1, tzinfo=UTC)
DAYS = 5 * 365
SENTENCE = re.compile(r"(?<=[.!?])\s+")
CORES = {0, 1}


def sentences(data: Path | None) -> list[str]:
    """Sentences of 20 to 200 characters, each once, in a fixed order."""
    texts = []
    for path in sorted(Path(sysconfig.get_paths()["stdlib"]).glob("*.py")):
        tree = ast.parse(path.read_bytes())
        kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
        texts += [ast.get_docstring(node) or "" for node in ast.walk(tree) if isinstance(node, kinds)]
    if data and (data / "xquad.en.json").exists():
        for article in json.loads((data / "xquad.en.json").read_bytes())["data"]:
            texts += [paragraph["context"] for paragraph in article["paragraphs"]]
    found = (" ".join(part.split()) for text in texts for part in SENTENCE.split(text))
    return list(dict.fromkeys(part for part in found if 20 <= len(part) <= 200))


def posts(count: int, known: list[str], random_: random.Random) -> Iterator[dict]:
    """Records as a platform would export them."""
    for number in range(count):
        text = " ".join(random_.choices(known, k=random_.choice((1, 1, 2, 3))))
        yield {
            "id": str(10**18 + number),
            "text": text[:500],
            "author": f"user{int(AUTHORS * random_.random() ** 3)}",
            "created_at": (START + timedelta(days=DAYS * random_.random())).isoformat(timespec="seconds"),
            "lang": random_.choice(LANGUAGES),
        }


def write_world(folder: Path, count: int, data: Path | None) -> list[str]:
    """posts.jsonl and the tables of notes."""
    random_ = random.Random(1)
    known = sentences(data)
    with open(folder / "posts.jsonl", "w") as file:
        for post in posts(count, known, random_):
            file.write(json.dumps(post) + "\n")
    tables = folder / "notes"
    tables.mkdir()
    with open(tables / "notes-00000.tsv", "w") as notes, open(tables / "noteStatusHistory-00000.tsv", "w") as history:
        notes.write("noteId\ttweetId\tsummary\tcreatedAtMillis\n")
        history.write("noteId\tcurrentStatus\n")
        for number in range(0, count, 100):
            notes.write(f"{number}\t{10**18 + number}\t{random_.choice(known)}\t1700000000000\n".replace('"', "'"))
            history.write(f"{number}\tCURRENTLY_RATED_HELPFUL\n")
    return known


def queries(known: list[str], random_: random.Random) -> Iterator[str]:
    """Mixed ones: words as frequent as in the texts, phrases, exclusions, and every filter."""
    for _ in range(QUERIES):
        words = re.findall(r"[A-Za-z]{2,}", random_.choice(known)) or ["python"]
        parts = random_.sample(words, min(len(words), random_.randint(1, 4)))
        if random_.random() < 0.2:
            start = random_.randrange(max(len(words) - 1, 1))
            parts.append('"' + " ".join(words[start : start + 2]) + '"')
        if random_.random() < 0.15:
            parts.append("-" + random_.choice(words))
        if random_.random() < 0.15:
            parts.append(f"from:user{int(AUTHORS * random_.random() ** 3)}")
        if random_.random() < 0.25:
            day = START + timedelta(days=random_.randrange(DAYS - 200))
            parts += [f"since:{day:%Y-%m-%d}", f"until:{day + timedelta(days=random_.randint(2, 200)):%Y-%m-%d}"]
        if random_.random() < 0.15:
            parts.append("lang:" + random_.choice(("en", "de", "es")))
        if random_.random() < 0.1:
            parts.append("has:note")
        yield " ".join(parts)


def ask(folder: Path, asked: list[str]) -> dict:
    """Seconds of each query in this process."""
    from kolossos.ground.index import open_index
    from kolossos.ground.query import parse_query
    from kolossos.ground.results import find

    started = time.perf_counter()
    searcher = open_index(folder)
    opened_s = time.perf_counter() - started
    for text in asked[:20]:
        find(searcher, parse_query(text))  # the first ones map the files
    seconds, found = [], 0
    for number, text in enumerate(asked):
        begun = time.perf_counter()
        results = find(searcher, parse_query(text), recency_days=30 if number % 10 == 0 else None)
        seconds.append(time.perf_counter() - begun)
        found += bool(results)
    percentiles = dict(zip(("p50", "p90", "p99"), np.percentile(np.array(seconds) * 1e3, (50, 90, 99)), strict=True))
    slowest = asked[int(np.argmax(seconds))]
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
    return {
        "queries": len(asked),
        "with_results": found,
        "opened_s": opened_s,
        "milliseconds": percentiles | {"longest": max(seconds) * 1e3},
        "slowest": slowest,
        "memory_mib": memory,
    }


def in_process(arguments: list[str]) -> tuple[float, float, float, str]:
    """(seconds, CPU seconds, largest resident set in MiB, what it printed) of a process on two cores."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, *arguments],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: os.sched_setaffinity(0, CORES & os.sched_getaffinity(0) or os.sched_getaffinity(0)),
    )
    seconds = time.perf_counter() - started
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return seconds, cpu_s, after.ru_maxrss / 2**10, done.stdout


def measure(count: int, data: Path | None, work: Path) -> dict:
    """Everything, in ``work``."""
    known = write_world(work, count, data)
    (work / "queries.json").write_text(json.dumps(list(queries(known, random.Random(2)))))
    index, load = work / "index", os.getloadavg()[0]
    index_it = ["-m", "kolossos", "index", str(work / "posts.jsonl"), "--out", str(index), "--json"]
    seconds, cpu_s, memory_mib, _ = in_process([*index_it, str(work / "notes")])
    again_s, *_ = in_process([*index_it, str(work / "notes")])
    *_, asked = in_process([__file__, "--ask", str(index), "--queries", str(work / "queries.json")])
    return {
        "posts": count,
        "sentences": len(known),
        "posts_bytes": (work / "posts.jsonl").stat().st_size,
        "index_s": seconds,
        "index_cpu_s": cpu_s,
        "posts_per_s": count / seconds,
        "posts_per_cpu_s": count / cpu_s,
        "load_before": load,
        "niceness": os.nice(0),
        "again_s": again_s,
        "index_memory_mib": memory_mib,
        "index_bytes": sum(path.stat().st_size for path in index.rglob("*") if path.is_file()),
        "asked": json.loads(asked),
    }


def page(result: dict) -> str:
    """The figures as a table."""
    asked = result["asked"]
    times = asked["milliseconds"]
    rows = [
        ("posts, with notes on one in a hundred", f"{result['posts']:,} ({result['posts_bytes'] / 1e6:,.0f} MB)"),
        ("indexed by words, by the command, from JSON Lines", f"{result['posts_per_s']:,.0f} posts/s"),
        ("for each second that a core worked on it", f"{result['posts_per_cpu_s']:,.0f} posts"),
        ("the same command again: nothing changed", f"{result['posts'] / result['again_s']:,.0f} posts/s"),
        ("index on the disk", f"{result['index_bytes'] / 1e6:,.0f} MB"),
        ("memory of indexing, at most", f"{result['index_memory_mib']:,.0f} MiB"),
        ("open the index", f"{asked['opened_s'] * 1e3:,.0f} ms"),
        (
            f"{asked['queries']:,} mixed queries: median, 90 %, 99 %, longest",
            f"{times['p50']:.1f}, {times['p90']:.1f}, {times['p99']:.1f}, {times['longest']:.1f} ms",
        ),
        ("memory of searching, mapped files included", f"{asked['memory_mib']:,.0f} MiB"),
    ]
    lines = ["| what | figure |", "| --- | ---: |", *(f"| {name} | {value} |" for name, value in rows)]
    shared = f"shared: a load of {result['load_before']:.1f} before it began, itself at niceness {result['niceness']}"
    where = f"{result['machine']['cpu']}, two cores, {shared}; {result['date']}"
    return "\n".join([*lines, "", f"({where}; `python benchmarks/ground/million.py`)"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--posts", type=int, default=1_000_000)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--work", type=Path, help="empty folder for posts and index; a temporary one if not stated")
    parser.add_argument("--write", action="store_true", help="into benchmarks/results")
    parser.add_argument("--ask", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--queries", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.ask:
        print(json.dumps(ask(options.ask, json.loads(options.queries.read_text()))))
        return
    with tempfile.TemporaryDirectory() as folder:
        measured = measure(options.posts, options.data, options.work or Path(folder))
    result = {"date": datetime.now(UTC).date().isoformat(), "machine": describe()} | measured
    if options.write:
        (RESULTS / f"ground-million-{result['date']}.json").write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1), file=sys.stderr)
    print(page(result))


if __name__ == "__main__":
    main()
