"""An index, wherever it is, to search in or to write to."""

from pathlib import Path

from kolossos.errors import InputError
from kolossos.ground.source import Searcher
from kolossos.ground.store import Store

POSTGRES = ("postgresql://", "postgres://")


def open_index(place: str | Path) -> Searcher:
    """The index in a folder or a database, to search in; InputError for what is none."""
    if str(place).startswith(POSTGRES):
        from kolossos.ground.index.postgres.search import PostgresSearcher

        return PostgresSearcher(str(place))
    check_place(place)
    from kolossos.ground.index.search import FolderSearcher

    return FolderSearcher(Path(place))


def open_store(place: str, model_folder: Path | None = None) -> Store:
    """The index in a folder or a database, to write to; a new one if there is none there. InputError for what is none.

    Args:
        model_folder: a sentence-embedding model, for a new index; an old one keeps the one that it was made with.
    """
    if place.startswith(POSTGRES):
        from kolossos.ground.index.postgres.write import PostgresStore

        return PostgresStore(place, model_folder)
    check_place(place)
    from kolossos.ground.index.write import FolderStore

    return FolderStore(Path(place), model_folder)


def check_place(place: str | Path) -> None:
    """InputError for a URL of a kind that is not known."""
    if "://" in str(place):
        kind = str(place).partition("://")[0]
        raise InputError(f"{kind}:// is no place for an index; give a folder or postgresql://USER@HOST/DATABASE")
