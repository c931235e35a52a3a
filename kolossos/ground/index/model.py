"""The embedding model of an index: chosen when it is made, and the same ever after."""

from dataclasses import dataclass
from pathlib import Path

from kolossos.errors import InputError
from kolossos.ground.embed import Embedder
from kolossos.ground.source import Passage


@dataclass(frozen=True)
class Model:
    """The embedding model whose vectors are kept."""

    folder: str
    identity: str
    dimensions: int


def model_of(embedder: Embedder | None) -> Model | None:
    """What an index says of the model that it is made with."""
    if embedder is None:
        return None
    return Model(str(embedder.folder.resolve()), embedder.identity, embedder.dimensions)


def embedder_for(place: str, known: Model | None, given: Path | None, new: bool) -> Embedder | None:
    """The model to write with: the one given for a new index, else the one that the index has.

    Raises:
        InputError: the one given is not the index's, or the index's is not there any more.
    """
    if new:
        return Embedder(given) if given else None
    if known is None:
        if given:
            raise InputError(f"{place} was made without vectors; make a new index with {given}")
        return None
    return loaded(place, known, given)


def loaded(place: str, known: Model, given: Path | None = None) -> Embedder:
    """The model of an index, in memory; InputError if ``given``, or what is in its place now, is another."""
    embedder = Embedder(given or known.folder)
    if embedder.identity != known.identity:
        raise InputError(
            f"{embedder.folder} is another model than the one that {place} was made with ({known.folder}); make a new "
            f"index"
        )
    return embedder


def embedded_text(passage: Passage) -> str:
    """What a vector stands for: a passage, behind the title of its source."""
    return f"{passage.source.title}. {passage.text}" if passage.source.title else passage.text
