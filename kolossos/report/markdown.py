"""Sections as Markdown."""

from kolossos.report.sections import Section


def to_markdown(title: str, sections: list[Section]) -> str:
    """One Markdown document."""
    blocks = [f"# {_plain(title)}"]
    for section in sections:
        blocks.append(f"## {section.title}")
        blocks += [_plain(text) for text in section.paragraphs]
        if section.rows:
            lines = [_row(section.header), "| " + " | ".join("---" for _ in section.header) + " |"]
            blocks.append("\n".join(lines + [_row(row) for row in section.rows]))
        if section.points:
            blocks.append("\n".join(f"- {_plain(point)}" for point in section.points))
    return "\n\n".join(blocks) + "\n"


def _row(cells: list[str]) -> str:
    return "| " + " | ".join(_plain(cell).replace("|", "\\|") for cell in cells) + " |"


def _plain(text: str) -> str:
    """Text on one line that Markdown takes as it is: no tags, no emphasis by chance."""
    flat = " ".join(text.split())
    for mark in ("\\", "*", "`", "_"):
        flat = flat.replace(mark, "\\" + mark)
    return flat.replace("<", "&lt;")
