"""An index, wherever it is, as a `Searcher`."""

from pathlib import Path

from kolossos.errors import InputError
from kolossos.ground.source import Searcher

POSTGRES = ("postgresql://", "postgres://")


def open_index(place: str | Path) -> Searcher:
    """The index in a folder or a database, to search in; InputError for what is none."""
    if str(place).startswith(POSTGRES):
        from kolossos.ground.postgres.search import PostgresSearcher

        return PostgresSearcher(str(place))
    check_place(place)
    from kolossos.ground.index.search import FolderSearcher

    return FolderSearcher(Path(place))


def check_place(place: str | Path) -> None:
    """InputError for a URL of a kind that is not known."""
    if "://" in str(place):
        kind = str(place).partition("://")[0]
        raise InputError(f"{kind}:// is no place for an index; give a folder or postgresql://USER@HOST/DATABASE")
