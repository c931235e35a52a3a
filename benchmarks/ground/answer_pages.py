"""The figures of docs/ground.md on answers and claims, from the results."""

import json
from collections.abc import Callable
from typing import Any

from pages import RESULTS

FIGURES_SHOWN = {
    "recall_10": "its paragraph among the ten read",
    "first_sentence_right": "best sentence holds the gold text, before any is held back",
    "answer_right": "the one or two best hold it, before any is held back",
    "quoted_mean": "sentences an answer",
    "answered": "answered, the article being there",
    "answered_without": "answered, the article being away",
    "answered_without_at_90": "answered without it, where 90 % are with it",
    "area": "area under that curve",
    "citation_precision": "citation precision: quotations that hold it",
    "citation_recall": "citation recall: answers given that hold it, of all questions",
    "verbatim": "quotations verbatim in their source",
    "support_calibration_error": "calibration error of support",
    "right_calibration_error": "calibration error of right",
}


def _latest(kind: str) -> tuple[dict[str, Any], str]:
    file = sorted(RESULTS.glob(f"{kind}-2*.json"))[-1]
    return json.loads(file.read_text()), file.stem.removeprefix(f"{kind}-")


def answers() -> str:
    found, date = _latest("ground-answers")
    columns = [(way, half) for way in ("words and vectors", "words") for half in ("held out", "all")]
    lines = ["| XQuAD-en | " + " | ".join(f"{way}, {half}" for way, half in columns) + " |"]
    lines.append("| --- |" + " ---: |" * len(columns))
    lines.append("| questions | " + " | ".join(f"{found[w][h]['questions']:,}" for w, h in columns) + " |")
    for name, title in FIGURES_SHOWN.items():
        lines.append(f"| {title} | " + " | ".join(f"{found[w][h][name]:.3f}" for w, h in columns) + " |")
    away = [found[way]["held out"]["wrongly_answered_without_paragraph"] for way in ("words and vectors", "words")]
    hard = (
        f"Harder: with only the question's own paragraph away and the rest of its article there, {away[0]:.1%} are "
        f"answered by sentences without the gold text ({away[1]:.1%} by words alone)."
    )
    fastest = found["words"]["all"]["seconds_median"]
    facts = (
        f"({date}, `python benchmarks/ground/answers.py xquad.en.json --model all-MiniLM-L6-v2`; on a machine with "
        f"other work a question took {fastest * 1000:.0f} ms by words in the median, and the process "
        f"{found['peak_memory_bytes'] / 2**20:,.0f} MiB with the embedding model in it)"
    )
    return "\n".join([*lines, "", hard, "", facts])


def speaker() -> str:
    found, date = _latest("ground-speaker")
    ways = {
        "rules": "rules and weights",
        "alone": f"{found['model']} with the passage at hand",
        "grammar": f"{found['model']} under the grammar, answering always",
        "grammar and support": f"{found['model']} under the grammar, where there is support",
    }
    lines = ["| | holds the gold text | answered, article there | answered, article away |"]
    lines.append("| --- | ---: | ---: | ---: |")
    for way, title in ways.items():
        row = found["table"][way]
        lines.append(
            f"| {title} | {row['right, there']:.2f} | {row['answered, there']:.2f} | {row['answered, away']:.2f} |"
        )
    note = f"({found['questions']} questions of the held-out half, {date}, `python benchmarks/ground/speaker.py`)"
    return "\n".join([*lines, "", note])


def claims() -> str:
    found, date = _latest("ground-claims")
    lines = ["| held-out claims | | macro F1 | supported | contradicted | not found |"]
    lines.append("| --- | --- | ---: | ---: | ---: | ---: |")
    for name, row in found.items():
        of, way, _ = name.split(", ")
        shown = {"check": f"check, {'words and vectors' if way == 'dense' else 'words'}"}
        if way == "dense":
            shown |= {"overlap": "overlap of words alone", "majority": "always the commonest"}
            shown |= {"claim alone": "words of the claim, no source read"}
        for key, title in shown.items():
            each = row[key]
            cells = " | ".join(f"{each[k]:.3f}" for k in ("macro_f1", "supported", "contradicted", "not found"))
            lines.append(f"| {of} ({row['claims']}) | {title} | {cells} |")
    return "\n".join([*lines, "", f"({date}, `python benchmarks/ground/claims.py`)"])


def planted() -> str:
    columns: dict[str, dict[str, Any]] = {}
    for kind in ("ground-planted-among", "ground-planted"):
        found, date = _latest(kind)
        for way in ("words and vectors", "words"):
            columns[f"{way}, among {found[way]['texts']:,} texts"] = found[way]
    lines = ["| | " + " | ".join(columns) + " |", "| --- |" + " ---: |" * len(columns)]
    for name in found["words"]:
        if name not in ("examples", "texts"):
            lines.append(f"| {name} | " + " | ".join(f"{each[name]:,}" for each in columns.values()) + " |")
    return "\n".join([*lines, "", f"({found['planted']} posts, {date}, `python benchmarks/ground/planted.py`)"])


FIGURES: dict[str, Callable[[], str]] = {
    "ground_answers": answers,
    "ground_speaker": speaker,
    "ground_claims": claims,
    "ground_planted": planted,
}
