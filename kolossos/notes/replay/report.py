"""A replay told to people: Markdown, HTML with plots, JSON."""

import base64
import html
import io
import json
from pathlib import Path
from typing import Any

from kolossos.files import write_whole
from kolossos.notes.replay.run import BASE_RATE, ENSEMBLE, PRICE, TWO_FEATURES

AIMS = (  # fixed before the first replay was looked at
    ("log loss of the price 25 % below the base rate's at 5 ratings", "skill"),
    ("calibration error of the price at most 0.03 at 5 ratings", "calibration"),
    ("precision of 0.95 at half of the helpful notes found, by 15 ratings", "precision"),
)
CHOICES = (
    "Chosen before looking: probabilities clipped at 0.0001 in log losses; ten equal bins; 400 bootstrap draws over "
    "posts; a note counts as shown early once its price reaches 0.80 within its first 15 ratings."
)


def judged(found: dict[str, Any]) -> list[tuple[str, str, bool]]:
    """Each aim, what was reached, and whether that is enough."""
    five, fifteen = found["at"].get("ratings 5"), found["at"].get("ratings 15")
    rows = []
    if five:
        price, base = five["forecasters"][PRICE], five["forecasters"][BASE_RATE]
        skill = 1 - price["log_loss"] / base["log_loss"]
        rows.append((AIMS[0][0], f"{100 * skill:.1f} %", skill >= 0.25))
        rows.append((AIMS[1][0], f"{price['calibration_error']:.3f}", price["calibration_error"] <= 0.03))
    if fifteen:
        precision = fifteen["forecasters"][PRICE]["precision_at_half_recall"]
        rows.append((AIMS[2][0], f"{precision:.3f}", precision >= 0.95))
    return rows


def markdown(found: dict[str, Any], title: str) -> str:
    """The report as text."""
    lines = [f"# {title}", "", _summary(found), "", CHOICES, ""]
    lines += ["| aim | reached | |", "| --- | --- | --- |"]
    lines += [f"| {aim} | {value} | {'yes' if good else '**no**'} |" for aim, value, good in judged(found)]
    for figure, name in (("brier", "Brier score"), ("log_loss", "Log loss")):
        lines += ["", f"## {name} (95 % interval over posts)", "", *_table(found, figure)]
    lines += [
        "",
        "## Is the market better than its best bot?",
        "",
        best_bot(found),
        "",
        "## What it cost",
        "",
        _money(found),
        "",
    ]
    return "\n".join(lines)


def _summary(found: dict[str, Any]) -> str:
    shown = found["decisions"]
    return (
        f"{found['notes_tested']:,} notes, {found['ratings']:,} ratings, played in time order; nothing was learnt from "
        f"what came later. The price passed {shown['entry']:.2f} within {shown['most_ratings']} ratings for "
        f"{shown['shown']} notes, {shown['rightly']} of them rightly (precision {shown['precision']:.2f}, recall "
        f"{shown['recall']:.2f}), at the median {shown['median_minutes']:.0f} minutes after the note was written."
    )


def _table(found: dict[str, Any], figure: str) -> list[str]:
    names = list(next(iter(found["at"].values()))["forecasters"])
    head = [f"| after | notes | median minutes | {' | '.join(names)} |", "| --- " * (len(names) + 3) + "|"]
    rows = []
    for when, row in found["at"].items():
        best = min(row["forecasters"][name][figure] for name in names)
        cells = []
        for name in names:
            one = row["forecasters"][name]
            text = f"{one[figure]:.4f} ({one[figure + '_95'][0]:.3f} to {one[figure + '_95'][1]:.3f})"
            cells.append(f"**{text}**" if one[figure] == best else text)
        rows.append(f"| {when} | {row['notes']:,} | {row['median_minutes']:.0f} | {' | '.join(cells)} |")
    return head + rows


def best_bot(found: dict[str, Any]) -> str:
    """Where the price is better than every single bot, and where it is not."""
    better, worse = [], []
    for when, row in found["at"].items():
        bots = {n: f["log_loss"] for n, f in row["forecasters"].items() if n not in (PRICE, ENSEMBLE, BASE_RATE)}
        name = min(bots, key=lambda n: bots[n])
        price = row["forecasters"][PRICE]["log_loss"]
        (better if price < bots[name] else worse).append(f"{when} ({price:.4f} against {name}'s {bots[name]:.4f})")
    parts = []
    if better:
        parts.append("By log loss the price beats its best single bot at " + "; ".join(better) + ".")
    if worse:
        parts.append(
            "It does not at " + "; ".join(worse) + ". Whoever knew the best bot beforehand would need no market."
        )
    return " ".join(parts)


def _money(found: dict[str, Any]) -> str:
    market = found["market"]
    return (
        f"{market['trades']:,} trades; the makers lost {market['subsidy'] / 1e6:,.2f} credits on {market['settled']:,} "
        f"markets, of at most {market['bound'] / 1e6:,.2f}. CPU seconds: "
        + ", ".join(f"{name} {value:.2f}" for name, value in found["cpu_seconds"].items())
        + "."
    )


def plots(found: dict[str, Any]) -> bytes:
    """Skill over ratings and calibration of the price, as PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4.2), layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    points = [(int(w.split()[1]), row) for w, row in found["at"].items() if w.startswith("ratings")]
    for name, style in ((PRICE, "o-"), (ENSEMBLE, "s--"), (TWO_FEATURES, "^:")):
        skill = [
            100 * (1 - row["forecasters"][name]["log_loss"] / row["forecasters"][BASE_RATE]["log_loss"])
            for _, row in points
        ]
        left.plot([n for n, _ in points], skill, style, label=name)
    left.axhline(0, color="grey", linewidth=0.8)
    left.set_xlabel("ratings the note has")
    left.set_ylabel("log loss saved against the base rate (%)")
    left.legend()
    for when, colour in (("ratings 5", "tab:blue"), ("ratings 15", "tab:orange")):
        rows = found["at"].get(when, {}).get("calibration", [])
        middle = [r["came_true"] for r in rows]
        low = [m - r["low"] for m, r in zip(middle, rows, strict=True)]
        high = [r["high"] - m for m, r in zip(middle, rows, strict=True)]
        right.errorbar(
            [r["forecast"] for r in rows],
            middle,
            yerr=[low, high],
            fmt="o",
            color=colour,
            label=f"after {when.split()[1]} ratings",
        )
    right.plot([0, 1], [0, 1], color="grey", linewidth=0.8)
    right.set_xlabel("price")
    right.set_ylabel("share that became helpful (95 % band)")
    right.legend()
    out = io.BytesIO()
    figure.savefig(out, format="png", dpi=110)
    return out.getvalue()


def write_report(found: dict[str, Any], folder: Path, title: str) -> list[Path]:
    """Write ``replay.md``, ``replay.html`` (with its plots inside) and ``replay.json``, each whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    text = markdown(found, title)
    picture = base64.b64encode(plots(found)).decode()
    paths = [folder / f"replay.{ending}" for ending in ("md", "html", "json")]
    write_whole(paths[0], text)
    write_whole(paths[1], _page(text, picture, title))
    write_whole(paths[2], json.dumps(found, indent=1) + "\n")
    return paths


def _page(text: str, picture: str, title: str) -> str:
    body, rows = [], []
    for line in text.splitlines():
        if line.startswith("|"):
            cells = [c.strip() for c in line.strip("|").split("|")]
            if not all(set(c) <= {"-", " "} and c for c in cells):
                tag = "td" if rows else "th"
                rows.append("<tr>" + "".join(f"<{tag}>{_marked(c)}</{tag}>" for c in cells) + "</tr>")
            continue
        if rows:
            body.append("<div><table>" + "".join(rows) + "</table></div>")
            rows = []
        if line.startswith("#"):
            level = len(line) - len(line.lstrip("#"))
            body.append(f"<h{level}>{html.escape(line.lstrip('# '))}</h{level}>")
            if level == 1:
                body.append(
                    f'<img alt="Skill over ratings; calibration of the price" src="data:image/png;base64,{picture}">'
                )
        elif line:
            body.append(f"<p>{_marked(line)}</p>")
    style = (
        "body{font:15px/1.5 system-ui,sans-serif;max-width:70rem;margin:2rem auto;padding:0 1rem}div{overflow-x:auto}"
        "table{border-collapse:collapse;font-variant-numeric:tabular-nums}td,th{padding:.2rem .6rem;"
        "border-bottom:1px solid #ccc;"
        "text-align:right;white-space:nowrap}td:first-child,th:first-child{text-align:left}img{max-width:100%}"
    )
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>{html.escape(title)}</title><style>{style}</style>{''.join(body)}</html>\n"
    )


def _marked(text: str) -> str:
    parts = html.escape(text).split("**")
    return "".join(f"<b>{part}</b>" if i % 2 else part for i, part in enumerate(parts))
