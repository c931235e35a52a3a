"""Answers on a set in SQuAD's layout over its whole corpus: by words alone, and with vectors.

    python benchmarks/ground/answers.py xquad.en.json --model FOLDER [--keep vectors.npy]

Prints the figures and writes benchmarks/results/ground-answers-DATE.json. Beside what `kolossos ask --evaluate` says:
what is answered when only the question's own paragraph is away and the rest of its article stays.
"""

import argparse
import datetime
import json
from pathlib import Path

from vectors import Kept

from kolossos.ground.answer.ask import PASSAGES, Asker
from kolossos.ground.measure.evaluate import evaluate, halves, peak_memory_bytes, summarise
from kolossos.ground.measure.sets import QuestionSet, holds, is_tuning, read_set
from kolossos.ground.memory import Memory, whole
from kolossos.ground.source import Query

RESULTS = Path(__file__).resolve().parents[1] / "results"


def quoting(questions: QuestionSet, encoder: Kept | None) -> dict:
    """Figures of answers by rules and weights."""
    memory = Memory(map(whole, questions.sources), encoder)
    asker = Asker(memory, encoder)
    found = {name: summarise(rows, asker.least) for name, rows in halves(evaluate(questions, asker)).items()}
    found["held out"]["wrongly_answered_without_paragraph"] = _paragraph_away(questions, asker, memory)
    return found


def _paragraph_away(questions: QuestionSet, asker: Asker, memory: Memory) -> float:
    """Share of held-out questions answered by something without the gold text, though their paragraph is away."""
    asked = [each for each in questions.questions if not is_tuning(each.group)]
    wrong = 0
    for each in asked:
        query = Query(each.question)
        hits = memory.search(query, PASSAGES, lambda p, key=each.source: p.source.key != key)
        answer = asker.answer(asker.consider(query, hits))
        wrong += answer.found and not any(holds(q.text, each.gold) for q in answer.quotations)
    return wrong / len(asked)


def main() -> None:
    """Measure, print, write."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("set", type=Path)
    options.add_argument("--model", type=Path, required=True)
    options.add_argument("--keep", type=Path)
    given = options.parse_args()
    questions = read_set(given.set)
    encoder = Kept(given.model, given.keep)
    found: dict = {"words": quoting(questions, None), "words and vectors": quoting(questions, encoder)}
    encoder.save()
    for way, by_half in found.items():
        for half, figures in by_half.items():
            print(way, half, json.dumps({k: round(v, 4) for k, v in figures.items()}))
    found["peak_memory_bytes"] = peak_memory_bytes()
    file = RESULTS / f"ground-answers-{datetime.date.today()}.json"
    file.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
