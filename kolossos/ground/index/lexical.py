"""The lexical index on the disk: opened, asked for what it holds, and copied without what was deleted."""

import json
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from kolossos.errors import InputError
from kolossos.ground.index.records import unpack
from kolossos.ground.index.schema import register, schema
from kolossos.ground.library import tantivy
from kolossos.ground.source import Passage, Source

NUMBERS_AT_ONCE = 1 << 17
SLICES = 1 << 6  # of the space of key numbers, when all sources are visited


def open_lexical(folder: Path, make: bool = False) -> Any:
    """The tantivy index in ``folder``; ``make``: a new one if there is none. InputError for a broken one."""
    library = tantivy()
    try:
        if make and not (folder / "meta.json").exists():
            folder.mkdir(parents=True, exist_ok=True)
            index = library.Index(schema(), path=str(folder))
        else:
            index = library.Index.open(str(folder))
        register(index)
        index.config_reader("manual")
        index.reload()
        return index
    except (ValueError, OSError, RuntimeError) as error:
        message = " ".join(str(error).split())[:160]
        raise InputError(f"{folder} is broken ({message}); make the index again") from None


def numbers(searcher: Any, query: Any, fields: Sequence[str]) -> Iterator[tuple[int, ...]]:
    """The values of fast fields of everything that ``query`` finds."""
    found = searcher.search(query, max(searcher.num_docs, 1), count=False).hits
    for first in range(0, len(found), NUMBERS_AT_ONCE):
        addresses = [address for _, address in found[first : first + NUMBERS_AT_ONCE]]
        yield from zip(*(searcher.fast_field_values(field, addresses) for field in fields), strict=True)


def among(index_schema: Any, field: str, values: Sequence[int]) -> Any:
    """What has one of ``values`` in ``field``."""
    return tantivy().Query.term_set_query(index_schema, field, list(values))


def passage_at(searcher: Any, index_schema: Any, addresses: Sequence[Any]) -> list[Passage]:
    """The passages at ``addresses``, each with its source."""
    documents = [searcher.doc(address) for address in addresses]
    sources: dict[int, Source] = {}
    keys = searcher.fast_field_values("key", list(addresses)) if documents else []
    for key, document in zip(keys, documents, strict=True):
        if (record := document.get_first("record")) is not None:
            sources[key] = unpack(record)
    if missing := sorted(set(keys) - set(sources)):
        sources |= _first_of(searcher, index_schema, missing)
    return [
        _passage(sources[key], document.get_first("start"), document.get_first("end"))
        for key, document in zip(keys, documents, strict=True)
    ]


def _passage(source: Source, start: int | None, end: int | None) -> Passage:
    """A passage without places is the whole text."""
    return Passage(source, start or 0, len(source.text) if end is None else end)


def _first_of(searcher: Any, index_schema: Any, keys: list[int]) -> dict[int, Source]:
    library = tantivy()
    query = library.Query.boolean_query(
        [
            (library.Occur.Must, among(index_schema, "key", keys)),
            (library.Occur.Must, library.Query.term_query(index_schema, "first", 1)),
        ]
    )
    addresses = [address for _, address in searcher.search(query, len(keys), count=False).hits]
    found = searcher.fast_field_values("key", addresses)
    return {
        key: unpack(searcher.doc(address).get_first("record")) for key, address in zip(found, addresses, strict=True)
    }


def all_sources(searcher: Any, index_schema: Any) -> Iterator[tuple[Source, str]]:
    """Every source and its origin, a slice of the key numbers at a time."""
    library = tantivy()
    first = library.Query.term_query(index_schema, "first", 1)
    step = (1 << 64) // SLICES
    for start in range(0, 1 << 64, step):
        keys = library.Query.range_query(index_schema, "key", library.FieldType.Unsigned, start, start + step - 1)
        query = library.Query.boolean_query([(library.Occur.Must, first), (library.Occur.Must, keys)])
        for _, address in searcher.search(query, max(searcher.num_docs, 1), count=False).hits:
            document = searcher.doc(address)
            yield unpack(document.get_first("record")), document.get_first("origin") or ""


def deleted_share(folder: Path) -> float:
    """The share of the passages on the disk that are deleted: they still count in how rare a word is."""
    segments = json.loads((folder / "meta.json").read_bytes())["segments"]
    total = sum(segment["max_doc"] for segment in segments)
    deleted = sum((segment["deletes"] or {}).get("num_deleted_docs", 0) for segment in segments)
    return deleted / total if total else 0.0


def remove_other_generations(folder: Path, present: str) -> None:
    """Take away what a copy left that was never finished, or that is no longer read."""
    for path in folder.glob("lexical-*"):
        if path.name != present:
            shutil.rmtree(path, ignore_errors=True)
