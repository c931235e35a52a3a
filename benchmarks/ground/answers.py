"""Answers on a set in SQuAD's layout over its whole corpus: by words alone, with vectors, and by a small model.

    python benchmarks/ground/answers.py xquad.en.json --model FOLDER --keep vectors.npy [--speaker URL] [--name NAME]

Prints a table and writes benchmarks/results/NAME-DATE.json. --speaker: a server with a language model, asked --n
questions of the held-out half: alone with the first passage, and under the grammar.
"""

import argparse
import datetime
import json
from pathlib import Path

from vectors import Kept

from kolossos.ground.answer.ask import Asker
from kolossos.ground.measure.evaluate import evaluate, halves, summarise
from kolossos.ground.measure.sets import QuestionSet, read_set
from kolossos.ground.memory import Memory, whole

RESULTS = Path(__file__).resolve().parents[1] / "results"


def quoting(questions: QuestionSet, encoder: Kept | None) -> dict:
    """Figures of answers by rules and weights."""
    asker = Asker(Memory(map(whole, questions.sources), encoder), encoder)
    return {name: summarise(rows, asker.least) for name, rows in halves(evaluate(questions, asker)).items()}


def main() -> None:
    """Measure, print, write."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("set", type=Path)
    options.add_argument("--model", type=Path, required=True)
    options.add_argument("--keep", type=Path)
    options.add_argument("--name", default="ground-answers")
    given = options.parse_args()
    questions = read_set(given.set)
    encoder = Kept(given.model, given.keep)
    found = {"words": quoting(questions, None), "words and vectors": quoting(questions, encoder)}
    encoder.save()
    for way, by_half in found.items():
        for half, figures in by_half.items():
            print(way, half, json.dumps({k: round(v, 4) for k, v in figures.items()}))
    file = RESULTS / f"{given.name}-{datetime.date.today()}.json"
    file.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
