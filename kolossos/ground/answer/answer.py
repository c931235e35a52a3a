"""What is given back: quotations with their places, or that nothing was found and what came nearest."""

from dataclasses import dataclass, field
from typing import Any

from kolossos.ground.source import HELPFUL, Note, Passage


@dataclass(frozen=True, slots=True)
class Quotation(Passage):
    """A passage as it is shown: verbatim by construction, with the Helpful notes on its post."""

    @property
    def notes(self) -> tuple[Note, ...]:
        """The Helpful notes on its post; none of a note, which is one itself."""
        if self.source.kind == "note":
            return ()
        return tuple(note for note in self.source.notes if note.status == HELPFUL)

    def to_json(self) -> dict[str, Any]:
        """Text and place, the source's author, date and address, and Helpful notes."""
        source = self.source
        return {
            "text": self.text,
            "source": source.key,
            "kind": source.kind,
            "status": source.notes[0].status if source.kind == "note" and source.notes else None,
            "start": self.start,
            "end": self.end,
            "title": source.title,
            "author": source.author,
            "date": source.date.isoformat() if source.date else None,
            "address": source.address,
            "notes": [{"id": note.id, "text": note.text, "status": note.status} for note in self.notes],
        }


@dataclass(frozen=True, slots=True)
class Conflict:
    """Another source that says otherwise: ``about`` is "numbers", "dates" or "negation"."""

    quotation: Quotation
    about: str


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer of quotations alone, or none where ``quotations`` is empty: then ``nearest`` came closest.

    support: probability that the sources hold an answer. right: that the first quotation holds it; both as calibrated
    on half of the articles of XQuAD, half of the questions having their article taken away. right is None where a model
    put another sentence first.
    by: "quoting" (by rules and weights), or the name of the model that chose.
    remarks: what a reader should know of how it came about, a line each.
    left_out: passages that gave orders to whoever answers, or repeated the question, and were not considered.
    """

    question: str
    quotations: tuple[Quotation, ...]
    nearest: tuple[Quotation, ...]
    support: float
    right: float | None
    least: float
    conflicts: tuple[Conflict, ...] = ()
    by: str = "quoting"
    remarks: tuple[str, ...] = field(default=())
    left_out: int = 0

    @property
    def found(self) -> bool:
        return bool(self.quotations)

    def to_json(self) -> dict[str, Any]:
        """Everything, for programs."""
        return {
            "question": self.question,
            "found": self.found,
            "answer": " ".join(q.text for q in self.quotations) or None,
            "quotations": [q.to_json() for q in self.quotations],
            "nearest": [q.to_json() for q in self.nearest],
            "conflicts": [{"about": c.about, **c.quotation.to_json()} for c in self.conflicts],
            "support": round(self.support, 4),
            "right": None if self.right is None else round(self.right, 4),
            "least_support": self.least,
            "by": self.by,
            "remarks": list(self.remarks),
            "left_out": self.left_out,
        }
