"""An input that a person names, as the sources in it."""

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from kolossos.data.compression import DAMAGED, damage, inner_suffix, lines, unpacked
from kolossos.data.document import Document, LeftOut
from kolossos.data.documents.clean import clean
from kolossos.data.documents.sources import PYTHON_STDLIB, SourceFile, find_source
from kolossos.data.format import NotThisFormat
from kolossos.data.formats import format_named
from kolossos.data.formats.json_file import Json
from kolossos.data.formats.jsonl import SUFFIXES
from kolossos.data.records import array_items
from kolossos.errors import InputError
from kolossos.ground.reading.mastodon import is_mastodon, mastodon_sources
from kolossos.ground.reading.notes_tables import is_notes_folder, note_sources, notes_by_post, post_files
from kolossos.ground.reading.options import Gone, Reading
from kolossos.ground.reading.records import as_title, moment, source_of
from kolossos.ground.source import Source

X_ARCHIVE = "x-archive"
HEADING = re.compile(r"#{1,2}[ \t]+(.+?)[ \t#]*(?:\n|$)")
MARKDOWN = (".md", ".markdown", ".mdx")


def known_notes(arguments: Sequence[str], reading: Reading) -> Reading:
    """``reading`` with the notes of those arguments that are folders of Community Notes: they go onto the posts."""
    found = dict(reading.notes)
    for argument in arguments:
        if is_notes_folder(Path(argument)):
            found |= notes_by_post(Path(argument))
    return Reading(reading.options, found, reading.left_out)


def check_input(argument: str) -> None:
    """InputError for an input that is not there or is of a kind that is not read."""
    path = Path(argument)
    if path.suffix.lower() == ".car":
        raise InputError(
            f"{argument} is a Bluesky repository in its binary form (CAR), which is not read; give its records of "
            f"app.bsky.feed.post as JSON Lines"
        )
    if argument != PYTHON_STDLIB and not path.exists():
        raise InputError(f"source {argument} does not exist; give a folder, a file or {PYTHON_STDLIB!r}")


def read_input(argument: str, reading: Reading) -> Iterator[Source | Gone]:
    """The sources of one input, in its order; InputError for what cannot be read."""
    check_input(argument)
    path = Path(argument)
    if is_notes_folder(path):
        yield from note_sources(path, reading)
        for file in post_files(path):
            yield from _records(file, str(file), reading)
    elif is_mastodon(path):
        yield from mastodon_sources(path, reading)
    elif path.is_file() and inner_suffix(path) in SUFFIXES:
        yield from _records(path, argument, reading)
    else:
        yield from _found(argument, reading)


def _found(argument: str, reading: Reading) -> Iterator[Source | Gone]:
    """What the data room finds in a folder or a file."""
    found = find_source(argument)
    for kind, count in found.not_read.items():
        reading.left_out[f"file {kind}"] += count
    for file in found.files:
        place = argument if len(found.files) == 1 and file.path == argument else f"{argument.rstrip('/')}/{file.name}"
        try:
            if file.format == "jsonl":
                yield from _records(Path(file.path), place, reading)
            elif file.format == Json.name:
                yield from _json(Path(file.path), place, reading)
            else:
                yield from _documents(file, place, reading)
        except NotThisFormat as error:
            if not file.found or format_named(file.format).unreadable_in_folder == "refuse":
                raise
            reading.left_out[f"file {error.kind or file.format}"] += 1


def _records(path: Path, place: str, reading: Reading) -> Iterator[Source | Gone]:
    """JSON Lines, plain or packed."""
    number = 0
    try:
        with unpacked(path) as file:
            for number, line in enumerate(lines(file, str(path)), start=1):
                if line.isspace():
                    continue
                try:
                    record = json.loads(str(line.removeprefix(b"\xef\xbb\xbf"), "utf-8"))
                except (ValueError, RecursionError) as error:
                    reading.bad(InputError(f"{place}:{number}: not JSON ({error}); each line must be one JSON object"))
                    continue
                if (source := source_of(record, place, number, reading)) is not None:
                    yield source
    except DAMAGED as error:
        raise damage(path, error, f"line {number}") from error


def _json(path: Path, place: str, reading: Reading) -> Iterator[Source | Gone]:
    """An array of records, an object that holds one (``records``, ``orderedItems``), JSON Lines, or one record."""
    with unpacked(path) as file:
        beginning = file.read(4096).removeprefix(b"\xef\xbb\xbf").lstrip()[:1]
    if beginning == b"[":
        with unpacked(path) as file:
            import io

            try:
                items = array_items(io.TextIOWrapper(file, encoding="utf-8-sig"), place)
                for number, record in enumerate(items, start=1):
                    if (source := source_of(record, place, number, reading)) is not None:
                        yield source
            except UnicodeDecodeError:
                raise NotThisFormat(f"{place}: not UTF-8; give UTF-8 text") from None
        return
    try:
        whole = json.loads(path.read_bytes()) if path.suffix.lower() == ".json" else None
    except (ValueError, RecursionError):
        whole = None
    if whole is None:
        yield from _records(path, place, reading)
        return
    records = whole.get("records") if isinstance(whole, dict) else None
    for number, record in enumerate(records if isinstance(records, list) else [whole], start=1):
        if (source := source_of(record, place, number, reading)) is not None:
            yield source


def _documents(file: SourceFile, place: str, reading: Reading) -> Iterator[Source]:
    """What a format of the data room reads: posts of an X archive, else documents."""
    form = format_named(file.format)
    key = reading.options.text_key or "text"
    for document in form.read(Path(file.path), key, None):
        if isinstance(document, LeftOut):
            reading.left_out[document.reason] += 1
            if document.error is not None:
                reading.left_out[document.reason] -= 1
                reading.bad(document.error)
        elif document.only_if_asked and not getattr(reading.options, document.only_if_asked):
            reading.left_out[f"{document.only_if_asked}_not_asked_for"] += 1
        elif text := clean(document.text):
            yield _source(document, text, place, file.format == X_ARCHIVE, reading)
        else:
            reading.left_out["no_text"] += 1


def _source(document: Document, text: str, place: str, is_post: bool, reading: Reading) -> Source:
    facts, options = document.facts, reading.options
    where = f"{place}:{document.member}" if document.member else place
    number = facts.id or ""
    key = (f"x:{number}" if is_post else number) if number else f"{where}:{document.line}" if document.line else where
    whole_file = document.line is None
    return Source(
        key=key,
        kind="post" if is_post else "document",
        text=text,
        title=_title(text, place) if whole_file else "",
        author=clean(facts.author or "") or options.author,
        date=moment(facts.date),
        address=facts.url or where,
        language=options.language,
        notes=reading.notes.get(number, ()) if is_post else (),
    )


def _title(text: str, place: str) -> str:
    """The first heading of a Markdown text, else the file's name as words."""
    if place.lower().endswith(MARKDOWN) and (found := HEADING.match(text.lstrip())):
        return as_title(found[1])
    return as_title(re.sub(r"[-_.]+", " ", Path(place).stem))
