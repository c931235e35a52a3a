"""The report of a measurement: Markdown, one HTML file with its plots inside, JSON with every question."""

import base64
import html
import json
from pathlib import Path
from typing import Any

from kolossos.files import write_whole
from kolossos.ground.measure.plots import draw

TITLES = {
    "questions": "questions",
    "ndcg_10": "retrieval nDCG@10",
    "recall_1": "retrieval recall@1",
    "recall_10": "retrieval recall@10",
    "first_sentence_right": "best sentence holds the gold text, none held back",
    "answer_right": "one or two best sentences hold it, none held back",
    "quoted_mean": "sentences an answer",
    "answered_right": "holds it, of those answered",
    "citation_precision": "citation precision",
    "citation_recall": "citation recall",
    "verbatim": "quotations verbatim in their source",
    "least_support": "least support",
    "answered": "answered, the answer being there",
    "answered_without": "answered, it being taken away",
    "answered_without_at_90": "answered without, where 90 % are with",
    "area": "area: there against taken away",
    "support_calibration_error": "calibration error of support",
    "right_calibration_error": "calibration error of right",
    "seconds_median": "seconds a question, median",
    "seconds_p99": "seconds a question, p99",
}
_NOTES = (
    "A sentence is right if it holds a gold text as whole words (case, punctuation and articles aside, as SQuAD "
    "compares) or is the very place it was taken from. Citation precision: quotations that hold it, of all quotations "
    "of answers given. Citation recall: questions whose given answer holds it, of all that have one. Taken away: every "
    "text of the question's article, or a question without an answer. Halves are by the sha256 of the article's title: "
    "the weights were fitted on the even half of XQuAD-en, so that only the other counts there."
)
_STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1d2126;"
    "background:#fbfbf9}table{border-collapse:collapse}td,th{padding:.2rem .8rem;border-bottom:1px solid #d9dcd6;"
    "text-align:right}td:first-child,th:first-child{text-align:left}img{max-width:100%}"
    "@media(prefers-color-scheme:dark){body{color:#e7e9ea;background:#14171a}td,th{border-color:#343a40}"
    "img{background:#fff}}"
)


def write_report(report: dict[str, Any], folder: Path) -> None:
    """Write the report into ``folder``, made if it is not there."""
    folder.mkdir(parents=True, exist_ok=True)
    plots = draw(report["curves"])
    for name, content in plots.items():
        write_whole(folder / f"{name}.png", content)
    write_whole(folder / "report.md", _markdown(report, list(plots)))
    write_whole(folder / "report.html", _html(report, plots))
    write_whole(folder / "report.json", json.dumps(report, indent=1, allow_nan=True) + "\n")


def _about(report: dict[str, Any]) -> str:
    by = "rules and weights" if report["by"] == "quoting" else f"the model {report['by']} under a grammar"
    compared = "words and vectors" if report["vectors"] else "words alone"
    memory = report["peak_memory_bytes"] / 2**20
    return (
        f"{report['set']}, sources: {report['sources']}; compared by {compared}, chosen by {by}; {report['date']}. "
        f"{report['seconds']:.0f} s in all (each question asked twice), at most {memory:,.0f} MiB of memory."
    )


def _rows(report: dict[str, Any]) -> list[list[str]]:
    figures = report["figures"]
    return [[title, *(_number(each[name]) for each in figures.values())] for name, title in TITLES.items()]


def _number(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else "–" if value != value else f"{value:.4f}"


def _markdown(report: dict[str, Any], plots: list[str]) -> str:
    head = ["", *report["figures"]]
    lines = ["# Answers, measured", "", _about(report), "", f"| {' | '.join(head)} |"]
    lines += [f"| --- |{' ---: |' * (len(head) - 1)}"]
    lines += [f"| {' | '.join(row)} |" for row in _rows(report)]
    lines += ["", _NOTES, "", *(f"![{name}]({name}.png)" for name in plots)]
    return "\n".join(lines) + "\n"


def _html(report: dict[str, Any], plots: dict[str, bytes]) -> str:
    head = "".join(f"<th>{html.escape(name)}</th>" for name in ("", *report["figures"]))
    rows = "".join("<tr>" + "".join(f"<td>{html.escape(c)}</td>" for c in row) + "</tr>" for row in _rows(report))
    images = "".join(
        f'<p><img alt="{name}" src="data:image/png;base64,{base64.b64encode(content).decode()}"></p>'
        for name, content in plots.items()
    )
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>Answers, measured</title><style>{_STYLE}</style><h1>Answers, measured</h1>"
        f"<p>{html.escape(_about(report))}</p><table><tr>{head}</tr>{rows}</table>"
        f"<p>{html.escape(_NOTES)}</p>{images}</html>\n"
    )
