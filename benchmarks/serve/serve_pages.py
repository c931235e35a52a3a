"""The figures of docs/serve.md, from the results."""

import json
import re
from collections.abc import Callable
from pathlib import Path

from pages import RESULTS


def _latest(kind: str, suffix: str) -> Path:
    return sorted(RESULTS.glob(f"{kind}-2*{suffix}"))[-1]


def _date(file: Path) -> str:
    found = re.search(r"\d{4}-\d\d-\d\d", file.name)
    assert found, file
    return found[0]


def exactness() -> str:
    """How many numbers differed, by weights and threads."""
    file = _latest("serve-exactness", ".json")
    found = json.loads(file.read_text())
    lines = ["| weights | threads | numbers compared | differing |", "| --- | ---: | ---: | ---: |"]
    rows: dict[tuple[str, str], list[int]] = {}
    for row in found["rows"]:
        weights, threads, *_ = row["what"].split(", ")
        total = rows.setdefault((weights, threads.split()[0]), [0, 0])
        total[0] += row["differ"]
        total[1] += row["of"]
    lines += [f"| {w} | {t} | {of:,} | {differ} |" for (w, t), (differ, of) in rows.items()]
    rates = found["tokens_per_cpu_s"]
    plain = rates.pop("generate")
    cost = ", ".join(f"{name.split()[1]} {rate / plain:.1f}" for name, rate in rates.items())
    said = (
        f"{found['requests']} requests in batches cold and warm, their prompts in pieces of 16, 64 and 160 tokens, and "
        "alone and warm, against each alone and cold on one thread; every row in a process of its own"
    )
    return "\n".join(
        [
            *lines,
            "",
            f"({said}; {_date(file)}, `python benchmarks/serve/exactness.py`)",
            "",
            "At a batch of 8 the engine makes so many times the tokens of `kolossos.serve.generate`, which promises no "
            f"such thing, a CPU second: {cost}.",
        ]
    )


def speed() -> str:
    """The tables of the newest measurement beside other engines."""
    title, *tables = _latest("serve-speed", ".md").read_text().split("\n## ")
    facts = "\n\n".join(title.split("\n\n")[1:]).strip()
    return "\n".join([facts, "", *(re.sub(r"^(.+)\n", r"**\1**\n", table, count=1) for table in tables)]).strip()


def load() -> str:
    """What a storm of clients left."""
    file = _latest("serve-load", ".json")
    found = json.loads(file.read_text())
    counts = found["requests"]
    first, _, last = found["resident_mib"]
    live = ", ".join(f"{point} {value:.1f} ms" for point, value in found["live_ms"].items())
    names = {"whole": "whole answers", "stream": "streamed answers", "leave": "left in the middle"}
    names |= {"long": "long prompts", "hostile": "hostile bodies"}
    asked = ", ".join(f"{counts[kind]:,} {words}" for kind, words in names.items())
    big = sum(count for kind, count in counts.items() if kind.startswith("5 MB"))
    lines = [
        f"{found['clients']} clients for {found['minutes']:g} minutes: {asked}, {big} prompts of 5 MB.",
        f"Answers that were not the text they had been alone, or hostile bodies not refused: {len(found['wrong'])}.",
        f"Memory {first:,.0f} MiB at the start and {last:,.0f} at the end, "
        f"{found['mib_a_thousand_requests']:+.2f} MiB a thousand requests after the first third; "
        f"pages held at the end: {found['pages_used_at_the_end']}.",
        f"`/health/live`, asked by another process all the time: {live}.",
        f"({_date(file)}, {found['cores']} cores for server and clients together, `python benchmarks/serve/load.py`)",
    ]
    return "\n".join(lines)


def clients() -> str:
    """How many calls of each client were answered rightly."""
    file = _latest("serve-clients", ".txt")
    rows = [line.split(": ") for line in file.read_text().splitlines() if re.fullmatch(r".+: \d+ of \d+", line)]
    lines = [
        "| client | calls answered rightly |",
        "| --- | ---: |",
        *(f"| {name} | {count} |" for name, count in rows),
    ]
    return "\n".join([*lines, "", f"({_date(file)})"])


def evaluation() -> str:
    """lm-eval's bits per byte beside the decoder's own."""
    file = _latest("serve-eval", ".txt")
    return f"{file.read_text().strip()} ({_date(file)}, `python benchmarks/serve/eval_parity.py`)."


FIGURES: dict[str, Callable[[], str]] = {
    "serve_exactness": exactness,
    "serve_speed": speed,
    "serve_load": load,
    "serve_clients": clients,
    "serve_eval": evaluation,
}
