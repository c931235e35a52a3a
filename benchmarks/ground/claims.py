"""Fits (--fit) and measures the verdicts of `kolossos check`.

    python benchmarks/ground/claims.py climate-fever.jsonl xquad.en.json --model FOLDER --keep vectors.npy [--fit]

--fit fits on the tuning halves of both sets and writes kolossos/ground/check/weights.toml; without it the halves that
were held out are measured, beside a majority label, an overlap threshold, and a model that sees only the claim's words
(which needs scikit-learn).
"""

import argparse
import datetime
import json
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tomli_w
import torch
from claim_sets import Labelled, altered, climate_fever
from fit_answers import minimise
from vectors import Kept

from kolossos.ground.answer.ask import PASSAGES
from kolossos.ground.check.claims import NOT_FOUND, SUPPORTED, Checker, Compared
from kolossos.ground.check.pairs import names_of
from kolossos.ground.check.verdict import FILE, VERDICTS, ClaimWeights, Softmax, claim_names, summary
from kolossos.ground.measure.figures import macro_f1
from kolossos.ground.measure.sets import read_set
from kolossos.ground.memory import Memory, whole
from kolossos.ground.source import Query, Source

RESULTS = Path(__file__).resolve().parents[1] / "results"
PENALTY = 5e-3


@dataclass
class Case:
    """A claim with what was found for it by a search, and beside the evidence that people labelled."""

    labelled: Labelled
    found: Compared
    given: Compared


def compared(sources: list[Source], claims: list[Labelled], encoder: Kept | None) -> list[Case]:
    """Every claim beside what a search over ``sources`` finds."""
    memory = Memory(map(whole, sources), encoder)
    checker = Checker(memory, encoder, _nothing(encoder is not None))
    by_key = {source.key: source for source in sources}
    cases = []
    for each in claims:
        hits = memory.search(Query(each.claim), PASSAGES, lambda p, away=each.away: p.source.key not in away)
        given = memory.search(Query(each.claim), PASSAGES, lambda p, keys=each.evidence: p.source.key in keys)
        assert all(key in by_key for key in each.evidence)
        cases.append(Case(each, checker.compare(each.claim, hits=hits), checker.compare(each.claim, hits=given)))
    return cases


def _nothing(dense: bool) -> ClaimWeights:
    def zero(names: list[str]) -> Softmax:
        return Softmax(tuple(names), np.zeros((len(names), 3)), np.zeros(3))

    return ClaimWeights(zero(names_of(dense)), zero(claim_names(dense)), "")


def fit_softmax(rows: np.ndarray, truth: list[str], names: list[str]) -> Softmax:
    """Multinomial logistic regression, every verdict of the same weight, L2 on standardised weights."""
    spread, mean = rows.std(0) + 1e-6, rows.mean(0)
    x = torch.tensor((rows - mean) / spread)
    y = torch.tensor([VERDICTS.index(verdict) for verdict in truth])
    balance = len(y) / (3 * torch.bincount(y, minlength=3).double())
    weights = torch.zeros(rows.shape[1] + 1, 3, dtype=torch.float64, requires_grad=True)

    def loss() -> torch.Tensor:
        fit = torch.nn.functional.cross_entropy(x @ weights[:-1] + weights[-1], y, balance)
        return fit + PENALTY * (weights[:-1] ** 2).sum()

    minimise(loss, weights)
    slopes = weights.detach().numpy()[:-1] / spread[:, None]
    return Softmax(tuple(names), slopes.round(4), (weights.detach().numpy()[-1] - mean @ slopes).round(4))


def fit(cases: list[Case], dense: bool) -> ClaimWeights:
    """Pairs first, of labelled evidence and of what is found where nothing is to be found; then claims."""
    rows, truth = [], []
    for case in cases:
        if case.labelled.evidence:
            rows.extend(case.given.rows)
            truth.extend(_pair_truth(case))
        else:
            rows.extend(case.found.rows[:5])
            truth.extend([NOT_FOUND] * len(case.found.rows[:5]))
    pair = fit_softmax(np.array(rows), truth, names_of(dense))
    about = np.array([summary(c.found.rows, pair.of(c.found.rows), dense) for c in cases])
    claim = fit_softmax(about, [c.labelled.verdict for c in cases], claim_names(dense))
    return ClaimWeights(pair, claim, "")


def _pair_truth(case: Case) -> list[str]:
    """Of a paragraph with one altered sentence only the nearest sentence has the label; the rest say nothing of it."""
    many = len(case.given.sentences) > len(case.labelled.evidence)
    said = case.given.rows[:, 0]
    return [
        case.labelled.evidence[s.source.key] if not many or said[at] == said.max() else NOT_FOUND
        for at, s in enumerate(case.given.sentences)
    ]


def measure(cases: list[Case], weights: ClaimWeights, dense: bool, tuning: list[Case]) -> dict:
    """Figures on ``cases``; the baselines are fitted on ``tuning``."""
    true = [c.labelled.verdict for c in cases]

    def figures(said: list[str]) -> dict:
        score, each = macro_f1(true, said, VERDICTS)
        right = sum(t == s for t, s in zip(true, said, strict=True)) / len(true)
        return {"macro_f1": round(score, 4), "accuracy": round(right, 4), **{k: round(v, 4) for k, v in each.items()}}

    chances = [weights.claim.of(summary(c.found.rows, weights.pair.of(c.found.rows), dense)) for c in cases]
    labels = [c.labelled.verdict for c in tuning]
    most = max(VERDICTS, key=labels.count)

    def by_overlap(given: list[Case], least: float) -> list[str]:
        return [SUPPORTED if c.found.rows[:, 0].max() >= least else NOT_FOUND for c in given]

    least = max(np.linspace(0, 1, 41), key=lambda t: macro_f1(labels, by_overlap(tuning, t), VERDICTS)[0])
    return {
        "claims": len(cases),
        "check": figures([VERDICTS[int(p.argmax())] for p in chances]),
        "majority": figures([most] * len(cases)),
        "overlap": figures(by_overlap(cases, float(least))),
        "claim alone": figures(_claim_alone(tuning, cases)),
    }


def _claim_alone(tuning: list[Case], cases: list[Case]) -> list[str]:
    """What one can say without reading a source: words of the claims of the tuning half."""
    from sklearn.feature_extraction.text import TfidfVectorizer  # pyright: ignore[reportMissingImports]
    from sklearn.linear_model import LogisticRegression  # pyright: ignore[reportMissingImports]
    from sklearn.pipeline import make_pipeline  # pyright: ignore[reportMissingImports]

    model = make_pipeline(
        TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True),
        LogisticRegression(C=3, class_weight="balanced", max_iter=2000),
    )
    model.fit([c.labelled.claim for c in tuning], [c.labelled.verdict for c in tuning])
    return [str(said) for said in model.predict([c.labelled.claim for c in cases])]


def main() -> None:
    """Fit or measure."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("climate_fever", type=Path)
    options.add_argument("squad", type=Path)
    options.add_argument("--model", type=Path, required=True)
    options.add_argument("--keep", type=Path)
    options.add_argument("--fit", action="store_true")
    given = options.parse_args()
    encoder = Kept(given.model, given.keep)
    questions = read_set(given.squad)
    sets = {"CLIMATE-FEVER": climate_fever(given.climate_fever)}
    sets["XQuAD altered"] = (list(questions.sources), list(altered(questions)))
    from kolossos.ground.check.verdict import read_claim_weights

    written: dict = {}
    found: dict = {}
    for name, kept in (("lexical", None), ("dense", encoder)):
        cases = {of: compared(*each, kept) for of, each in sets.items()}
        if given.fit:
            weights = fit([c for each in cases.values() for c in each if c.labelled.tuning], kept is not None)
            written[name] = {"encoder": encoder.identity if kept else ""}
            for part, softmax in (("pair", weights.pair), ("claim", weights.claim)):
                rows = dict(zip(softmax.names, softmax.weights.tolist(), strict=True))
                written[name][part] = {"constant": softmax.constants.tolist(), **rows}
        else:
            weights = read_claim_weights(kept is not None)
        for of, each in cases.items():
            halves = [[c for c in each if c.labelled.tuning == tuning] for tuning in (True, False)]
            found[f"{of}, {name}, held out"] = measure(halves[1], weights, kept is not None, halves[0])
            print(f"{of}, {name}", json.dumps(found[f"{of}, {name}, held out"], indent=1), file=sys.stderr)
    encoder.save()
    if given.fit:
        head = (
            "# Fitted by benchmarks/ground/claims.py on the tuning halves of CLIMATE-FEVER and of altered sentences\n"
            "# of XQuAD-en: numbers only, no text of either is here. Each row: supported, contradicted, not found.\n"
        )
        FILE.write_text(head + tomli_w.dumps(written), encoding="utf-8")
    else:
        file = RESULTS / f"ground-claims-{datetime.date.today()}.json"
        file.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
