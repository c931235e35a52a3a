"""A small language model beside the rules: alone with a passage, and under the grammar of the sentences found.

    kolossos serve FOLDER --port 8123 &
    python benchmarks/ground/speaker.py xquad.en.json --model FOLDER --speaker http://127.0.0.1:8123/v1 [--n 60]

Questions of the held-out half, evenly spread. Each is asked with its passage (is the gold text in what the model says?)
and with the nearest passage of other articles (does it say "unknown", as it was told to?).
"""

import argparse
import datetime
import json
import time
from pathlib import Path

from fit_answers import is_right
from vectors import Kept

from kolossos.ground.answer.ask import PASSAGES, Asker, Considered
from kolossos.ground.answer.written.choose import choose
from kolossos.ground.answer.written.client import ChatModel, connect
from kolossos.ground.measure.sets import Asked, holds, is_tuning, read_set
from kolossos.ground.memory import Memory, whole
from kolossos.ground.source import Query

RESULTS = Path(__file__).resolve().parents[1] / "results"
_TASK = 'Answer the question from the passage in a few words. If the passage does not hold the answer, say "unknown".'


def alone(model: ChatModel, question: str, passage: str) -> str:
    """What the model says with a passage at hand."""
    content = f"Passage: {passage}\n\nQuestion: {question}"
    return model.reply([{"role": "system", "content": _TASK}, {"role": "user", "content": content}], None, 60)


def outcome(asker: Asker, considered: Considered, model: ChatModel | None, asked: Asked) -> dict[str, bool]:
    """What is answered: by the rules (no model) or by the model under the grammar."""
    answer = asker.answer(considered)
    if model is not None:
        answer = choose(answer, considered, model)
    quoted = list(answer.quotations)
    return {"answered": bool(quoted), "right": any(is_right(s, asked) for s in quoted), "by": answer.by != "quoting"}


def main() -> None:
    """Ask, print the table, write the result."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("set", type=Path)
    options.add_argument("--model", type=Path, required=True)
    options.add_argument("--keep", type=Path)
    options.add_argument("--speaker", required=True)
    options.add_argument("--n", type=int, default=60)
    options.add_argument("--rows", type=Path, required=True, help="file of what was asked; another run goes on with it")
    given = options.parse_args()
    questions = read_set(given.set)
    held_out = [asked for asked in questions.questions if not is_tuning(asked.group)]
    chosen = sorted(held_out[:: max(1, len(held_out) // given.n)][: given.n], key=lambda asked: asked.id)
    encoder, model = Kept(given.model, given.keep), connect(given.speaker, timeout_s=600)
    memory = Memory(map(whole, questions.sources), encoder)
    asker = Asker(memory, encoder)
    open_asker = Asker(memory, encoder, least=0.0)
    passages = {source.key: source for source in questions.sources}
    kept = given.rows.read_text(encoding="utf-8").splitlines() if given.rows.exists() else []
    rows = [json.loads(line) for line in kept]
    done = {row["id"] for row in rows}
    for asked in chosen:
        if asked.id in done:
            continue
        query = Query(asked.question)
        other = memory.search(query, PASSAGES, lambda p, g=asked.group: p.source.key.rpartition("/")[0] != g)
        row: dict = {"id": asked.id}
        for where, hits in (("there", memory.search(query, PASSAGES)), ("away", other)):
            considered = asker.consider(query, hits)
            passage = passages[asked.source].text if where == "there" else hits[0].passage.text
            start = time.perf_counter()
            said = alone(model, asked.question, passage)
            row[f"alone, {where}"] = {
                "answered": "unknown" not in said.lower(),
                "right": holds(said, asked.gold),
                "seconds": time.perf_counter() - start,
            }
            row[f"rules, {where}"] = outcome(asker, considered, None, asked)
            start = time.perf_counter()
            row[f"grammar, {where}"] = outcome(open_asker, considered, model, asked)
            row[f"grammar, {where}"]["seconds"] = time.perf_counter() - start
            gated = dict(row[f"grammar, {where}"])
            if considered.support < asker.least:
                gated = {"answered": False, "right": False}
            row[f"grammar and support, {where}"] = gated
        rows.append(row)
        with given.rows.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        print(f"{len(rows)} of {len(chosen)}", flush=True)
    encoder.save()
    table = {
        way: {
            "right, there": sum(r[f"{way}, there"]["right"] for r in rows) / len(rows),
            "answered, there": sum(r[f"{way}, there"]["answered"] for r in rows) / len(rows),
            "answered, away": sum(r[f"{way}, away"]["answered"] for r in rows) / len(rows),
        }
        for way in ("rules", "alone", "grammar", "grammar and support")
    }
    print(json.dumps(table, indent=1))
    found = {"model": model.name, "questions": len(rows), "table": table, "rows": rows}
    (RESULTS / f"ground-speaker-{datetime.date.today()}.json").write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
