"""Results as JSON: everything that the terminal shows, and offsets into each source's text."""

from typing import Any

from kolossos.ground.results import Result
from kolossos.ground.source import Hit, Note, Source


def as_json(results: list[Result]) -> list[dict[str, Any]]:
    """One object a result, the best first."""
    return [
        {
            "rank": rank,
            "score": round(result.hit.score, 6),
            **source_json(result.hit.passage.source),
            "passage": {
                "start": result.hit.passage.start,
                "end": result.hit.passage.end,
                "text": result.hit.passage.text,
            },
            "snippet": {
                "start": result.snippet.start,
                "end": result.snippet.end,
                "text": result.snippet.text,
                "marks": [list(mark) for mark in result.snippet.marks],
            },
            "why": {**result.hit.why, "matched": list(result.matched)},
            "folded": [_folded(hit, result.hit) for hit in result.folded],
        }
        for rank, result in enumerate(results, start=1)
    ]


def source_json(source: Source) -> dict[str, Any]:
    """What is known of a source, but its text."""
    return {
        "key": source.key,
        "kind": source.kind,
        "title": source.title,
        "author": source.author,
        "date": source.date.isoformat() if source.date else None,
        "address": source.address,
        "language": source.language,
        "notes": [_note(note) for note in source.notes],
    }


def _note(note: Note) -> dict[str, Any]:
    date = note.date.isoformat() if note.date else None
    return {"id": note.id, "text": note.text, "status": note.status, "date": date}


def _folded(hit: Hit, best: Hit) -> dict[str, Any]:
    same = hit.passage.source.key == best.passage.source.key
    return {
        "key": hit.passage.source.key,
        "start": hit.passage.start,
        "end": hit.passage.end,
        "reason": "same source" if same else "near duplicate",
    }
