"""Fits what decides an answer on the tuning half of a set in SQuAD's layout: kolossos/ground/answer/weights.toml.

    python benchmarks/ground/fit_answers.py xquad.en.json --model FOLDER   # a sentence-embedding model

The half: articles whose title's sha256 begins with an even byte. Each question is asked twice: of all paragraphs, and
of all but its article's. First the weights of a sentence (conditional logit over the sentences found, which holds the
gold text), then two logistic regressions over what the best sentence says: is there an answer at all, and is it right.
"""

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tomli_w
import torch
from vectors import Kept

from kolossos.ground.answer.ask import PASSAGES, Asker
from kolossos.ground.answer.features import names_of
from kolossos.ground.answer.support import shares_of, summary, support_names
from kolossos.ground.answer.weights import FILE, Linear, Weights
from kolossos.ground.measure.sets import Asked, QuestionSet, holds, is_tuning, read_set
from kolossos.ground.memory import Memory, whole
from kolossos.ground.source import Query

PENALTY_SENTENCE, PENALTY_SUPPORT = 3e-3, 2e-3
REMOVED_ANSWERED = 0.01  # of the tuning half's questions without their article: what the least support lets through
SECOND_SHARE = 0.5


@dataclass
class Case:
    """A question asked once: features of its sentences, which of them hold the answer, and whether it is there."""

    rows: np.ndarray
    right: np.ndarray
    there: bool


def cases(questions: QuestionSet, asker: Asker, memory: Memory) -> Iterator[Case]:
    """Every question of the tuning half, with and without its article."""
    group = {
        source.key: asked.group
        for asked in questions.questions
        for source in questions.sources
        if source.key == asked.source
    }
    for asked in questions.questions:
        if not is_tuning(asked.group):
            continue
        for there in (True, False):
            keep = None if there else (lambda p, g=asked.group: group.get(p.source.key) != g)
            considered = asker.consider(Query(asked.question), memory.search(Query(asked.question), PASSAGES, keep))
            right = np.array([is_right(s, asked) for s in considered.sentences], bool)
            yield Case(considered.rows, right, there)


def is_right(sentence, asked: Asked) -> bool:
    """Whether a sentence holds the gold text, or is where it stands."""
    return holds(sentence.text, asked.gold) or (
        sentence.source.key == asked.source and sentence.start <= asked.at < sentence.end
    )


def fit_sentence(given: list[Case], names: list[str]) -> Linear:
    """Weights that make the sentences with the answer the likeliest of their question's (softmax), by L-BFGS."""
    used = [case for case in given if case.there and case.right.any()]
    big = np.concatenate([case.rows for case in used])
    spread = big.std(0) + 1e-6
    rows = torch.tensor((big - big.mean(0)) / spread)
    right = torch.tensor(np.concatenate([case.right for case in used]))
    of = torch.tensor(np.repeat(np.arange(len(used)), [len(case.rows) for case in used]))
    weights = torch.zeros(len(names), dtype=torch.float64, requires_grad=True)

    def log_sum(scores: torch.Tensor) -> torch.Tensor:
        top = torch.full((len(used),), -1e9, dtype=torch.float64).scatter_reduce(0, of, scores, "amax")
        return top + torch.log(torch.zeros_like(top).scatter_add(0, of, torch.exp(scores - top[of])))

    def loss() -> torch.Tensor:
        scores = rows @ weights
        hidden = torch.where(right, scores, torch.tensor(-1e9, dtype=torch.float64))
        return (log_sum(scores) - log_sum(hidden)).mean() + PENALTY_SENTENCE * (weights**2).sum()

    minimise(loss, weights)
    return linear(names, weights.detach().numpy() / spread, 0.0)


def fit_logistic(rows: np.ndarray, truth: np.ndarray, names: list[str]) -> Linear:
    """Log odds of ``truth``, with an L2 penalty on standardised weights."""
    spread, mean = rows.std(0) + 1e-6, rows.mean(0)
    x, y = torch.tensor((rows - mean) / spread), torch.tensor(truth.astype(float))
    weights = torch.zeros(rows.shape[1] + 1, dtype=torch.float64, requires_grad=True)

    def loss() -> torch.Tensor:
        scores = x @ weights[:-1] + weights[-1]
        fit = torch.nn.functional.binary_cross_entropy_with_logits(scores, y)
        return fit + PENALTY_SUPPORT * (weights[:-1] ** 2).sum()

    minimise(loss, weights)
    slopes = weights.detach().numpy()[:-1] / spread
    return linear(names, slopes, float(weights[-1].detach()) - float(slopes @ mean))


def minimise(loss, weights: torch.Tensor) -> None:
    """L-BFGS until it moves no more."""
    optimiser = torch.optim.LBFGS([weights], max_iter=500, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        optimiser.zero_grad()
        value = loss()
        value.backward()
        return value

    optimiser.step(closure)  # pyright: ignore[reportArgumentType]


def linear(names: list[str], weights: np.ndarray, constant: float) -> Linear:
    return Linear(
        round(constant, 4), {n: round(float(w), 4) for n, w in zip(names, weights, strict=True) if abs(w) > 5e-5}
    )


def fit(questions: QuestionSet, encoder: Kept | None) -> dict:
    """The table of one way of comparing, as it stands in weights.toml."""
    dense = encoder is not None
    nothing = Linear(0.0, {})
    memory = Memory(map(whole, questions.sources), encoder)
    asker = Asker(memory, encoder, Weights(nothing, nothing, nothing, 0.5, 0.5, ""))
    given = list(cases(questions, asker, memory))
    sentence = fit_sentence(given, names_of(dense))
    scores = [sentence.of(names_of(dense), case.rows) for case in given]
    about = np.array([summary(case.rows, s, dense) for case, s in zip(given, scores, strict=True)])
    there = np.array([case.there for case in given])
    right = np.array([c.there and bool(c.right[s.argmax()]) for c, s in zip(given, scores, strict=True)])
    support, correct = (fit_logistic(about, truth, support_names(dense)) for truth in (there, right))
    odds = 1 / (1 + np.exp(-support.of(support_names(dense), about)))
    shares = np.array([shares_of(s).max() for s in scores])[there]
    print(f"{'dense' if dense else 'lexical'}: {len(given)} cases, right {right[there].mean():.3f} of those there, "
          f"two quoted in {(shares < SECOND_SHARE).mean():.3f}", file=sys.stderr)  # fmt: skip
    parts = {"sentence": sentence, "support": support, "right": correct}
    return {
        "least": round(float(np.quantile(odds[~there], 1 - REMOVED_ANSWERED)), 3),
        "second": SECOND_SHARE,
        "encoder": encoder.identity if encoder else "",
        **{name: {"constant": fitted.constant, **fitted.weights} for name, fitted in parts.items()},
    }  # fmt: skip


def main() -> None:
    """Fit both ways and write the file."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("set", type=Path)
    options.add_argument("--model", type=Path, required=True)
    options.add_argument("--keep", type=Path, help="file of vectors, kept for the next time")
    given = options.parse_args()
    questions = read_set(given.set)
    encoder = Kept(given.model, given.keep)
    found = {"lexical": fit(questions, None), "dense": fit(questions, encoder)}
    encoder.save()
    head = (
        f"# Fitted by benchmarks/ground/fit_answers.py on the tuning half of {given.set.name} "
        f"({sum(is_tuning(q.group) for q in questions.questions)} of {len(questions.questions)} questions).\n"
        "# XQuAD: google-deepmind/xquad, CC-BY-SA-4.0; these are numbers, none of its text is here.\n"
    )
    FILE.write_text(head + tomli_w.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main()
