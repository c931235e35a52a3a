"""Sections as one self-contained, printable HTML file, with a picture of the run between the lines."""

import math
from html import escape

from kolossos.report.laws import Standing
from kolossos.report.sections import Section, flops_text

STYLE = """
:root { color-scheme: light; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 68rem; margin: 2rem auto; padding: 0 1.2rem; color: #1c1f24; }
h1 { font-size: 1.7rem; margin-bottom: .3rem; }
h2 { font-size: 1.15rem; margin-top: 2rem; border-bottom: 1px solid #ccd; }
p.notice { background: #fff6dd; border-left: 4px solid #d99a00; padding: .5rem .8rem; }
table { border-collapse: collapse; width: 100%; font-size: .9em; }
th, td { text-align: left; vertical-align: top; padding: .3rem .55rem; border-bottom: 1px solid #dde; }
td { overflow-wrap: break-word; }
th { background: #f1f3f8; } tr.crossed td { background: #fdecea; } tr.near td { background: #fff6dd; }
svg { width: 100%; height: auto; } svg text { font: 12px system-ui, sans-serif; fill: #1c1f24; }
@media print {
  @page { margin: 14mm; }
  body { margin: 0; padding: 0; max-width: none; font-size: 10px; }
  h2 { break-after: avoid; } tr { break-inside: avoid; }
}
"""
WIDTH, LEFT, RIGHT = 1000, 40, 960


def to_html(title: str, sections: list[Section], standings: list[Standing], flops: float) -> str:
    """One HTML document; nothing in it is loaded from elsewhere."""
    body = [f"<h1>{escape(title)}</h1>"]
    for i, section in enumerate(sections):
        body.append(f"<h2>{escape(section.title)}</h2>")
        for j, text in enumerate(section.paragraphs):
            body.append(("<p class='notice'>" if i == j == 0 else "<p>") + escape(text) + "</p>")
        if i == 0:
            body.append(_picture(standings, flops))
        if section.rows:
            body.append(_table(section))
        if section.points:
            body.append("<ul>" + "".join(f"<li>{escape(point)}</li>" for point in section.points) + "</ul>")
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
        + "\n".join(body)
        + "\n</body>\n</html>\n"
    )


def _table(section: Section) -> str:
    head = "".join(f"<th>{escape(cell)}</th>" for cell in section.header)
    lines = [f"<table><thead><tr>{head}</tr></thead><tbody>"]
    for row in section.rows:
        binding = section.header[3:4] == ["this one"] and row[1] not in ("vetoed", "revoked")
        position = row[3] if binding else ""
        kind = "near" if position == "near" else "crossed" if "above" in position else ""
        cells = "".join(f"<td>{escape(cell)}</td>" for cell in row)
        lines.append((f"<tr class='{kind}'>" if kind else "<tr>") + cells + "</tr>")
    return "\n".join([*lines, "</tbody></table>"])


def _picture(standings: list[Standing], flops: float) -> str:
    """A log scale of FLOPs with the run and each line, as inline SVG."""
    lines: dict[float, list[str]] = {}
    for standing in standings:
        lines.setdefault(standing.law.flops_threshold, []).append(standing.law.key)
    low = math.floor(min(math.log10(max(flops, 1.0)), 22.0)) - 1
    high = math.ceil(max(math.log10(max(flops, 1.0)), 26.0)) + 1

    def place(value: float) -> float:
        return LEFT + (RIGHT - LEFT) * (math.log10(max(value, 1.0)) - low) / (high - low)

    parts = [f'<line x1="{LEFT}" y1="110" x2="{RIGHT}" y2="110" stroke="#667" stroke-width="2"/>']
    step = max(1, (high - low) // 12)
    for power in range(low, high + 1, step):
        x = place(10.0**power)
        parts.append(f'<line x1="{x:.1f}" y1="106" x2="{x:.1f}" y2="114" stroke="#667"/>')
        parts.append(f'<text x="{x:.1f}" y="130" text-anchor="middle">1e{power}</text>')
    for level, (value, keys) in enumerate(sorted(lines.items(), reverse=True)):
        x, y = place(value), 16 + 26 * level
        parts.append(f'<line x1="{x:.1f}" y1="{y + 4}" x2="{x:.1f}" y2="110" stroke="#b8312f" stroke-width="2"/>')
        parts.append(f'<text x="{x - 5:.1f}" y="{y + 6}" text-anchor="end">{escape(", ".join(keys))}</text>')
    x = place(flops)
    anchor = "end" if x > RIGHT - 160 else "start" if x < LEFT + 160 else "middle"
    parts.append(f'<path d="M {x:.1f} 114 l -8 16 h 16 z" transform="translate(0 2)" fill="#3b6fb6"/>')
    parts.append(
        f'<text x="{x:.1f}" y="156" text-anchor="{anchor}" font-weight="bold">this: {flops_text(flops)}</text>'
    )
    label = "Training compute of this run on a logarithmic scale, with the lines of the laws"
    return f'<svg viewBox="0 0 {WIDTH} 170" role="img" aria-label="{label}">{"".join(parts)}</svg>'
