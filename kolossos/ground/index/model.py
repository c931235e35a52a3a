"""The embedding model of an index: chosen when it is made, and the same ever after."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kolossos.errors import InputError
from kolossos.ground.embed import Embedder
from kolossos.ground.fusion import SAME
from kolossos.ground.source import Passage

LEAST_SPREAD = 0.01
UNRELATED = (
    "The ferry to the island leaves at seven in the morning.",
    "Her second novel won a prize for translated fiction.",
    "Interest rates were left unchanged by the central bank.",
    "Bake the bread at a high heat for forty minutes.",
    "The goalkeeper saved a penalty in the last minute.",
    "Enzymes lower the energy that a reaction needs.",
    "The castle was besieged twice in the fourteenth century.",
    "Press the button until the light turns green.",
    "Glaciers have lost a third of their ice since then.",
    "The court ruled that the contract was void.",
    "He plays the cello in a small orchestra.",
    "A function that returns nothing is called a procedure.",
    "Two lanes of the motorway are closed after an accident.",
    "The vaccine was tested on thirty thousand volunteers.",
    "Wolves returned to the valley after a hundred years.",
    "The mayor opened a new library near the station.",
)


@dataclass(frozen=True)
class Model:
    """The embedding model whose vectors are kept.

    Attributes:
        folder: where it was read from.
        identity: a hash of its files.
        dimensions: numbers in a vector.
        middle, spread: mean and standard deviation of its cosine for sentences that have nothing to do with each other.
            Some models use all of the scale, some only from 0.7 on.
    """

    folder: str
    identity: str
    dimensions: int
    middle: float
    spread: float


def model_of(embedder: Embedder | None) -> Model | None:
    """What an index says of the model that it is made with."""
    if embedder is None:
        return None
    cosines = embedder.queries(UNRELATED) @ embedder.passages(UNRELATED).T
    apart = cosines[~np.eye(len(UNRELATED), dtype=bool)].astype(float)
    scale = (round(float(apart.mean()), 4), round(max(float(apart.std()), LEAST_SPREAD), 4))
    return Model(str(embedder.folder.resolve()), embedder.identity, embedder.dimensions, *scale)


def scale_of(model: Model | None) -> tuple[float, float]:
    """(middle, spread) of a model's cosines; without a model there are none to scale."""
    return (model.middle, model.spread) if model else SAME


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
