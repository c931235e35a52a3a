"""The fields of the lexical index, a passage as a document of it, and a query as what tantivy searches."""

from typing import Any

from kolossos.ground.index.records import microseconds, passage_number
from kolossos.ground.library import tantivy
from kolossos.ground.source import Passage, Query
from kolossos.ground.words import DEFAULT_LANGUAGE, asked_terms, spaced, stem_analyzer, stemmed_as, word_analyzer, words

WORDS, STEMS = "words", "stems"


def schema() -> Any:
    """Numbers are found by; names are matched whole; `words` knows positions, `stems` how often."""
    builder = tantivy().SchemaBuilder()
    for name in ("passage", "key", "digest"):
        builder.add_unsigned_field(name, indexed=True, fast=True)
    builder.add_unsigned_field("first", indexed=True)  # 1 of the passage that carries its source
    builder.add_integer_field("date", indexed=True, fast=True)  # microseconds
    builder.add_unsigned_field("noted", indexed=True)
    for name in ("author", "language", "kind"):
        builder.add_text_field(name, tokenizer_name="raw", index_option="basic")
    builder.add_text_field("origin", stored=True, tokenizer_name="raw", index_option="basic")
    builder.add_text_field(WORDS, tokenizer_name=WORDS, index_option="position")
    builder.add_text_field(STEMS, tokenizer_name=STEMS, index_option="freq")
    builder.add_bytes_field("record", stored=True)
    builder.add_unsigned_field("start", stored=True)
    builder.add_unsigned_field("end", stored=True)
    return builder.build()


def register(index: Any) -> None:
    """Tell an opened index how to make terms."""
    index.register_tokenizer(WORDS, word_analyzer())
    index.register_tokenizer(STEMS, stem_analyzer(DEFAULT_LANGUAGE))


def documents(cut: list[Passage], packed: bytes, key: int, digest: int, origin: str) -> list[tuple[int, Any]]:
    """(number, document) of each passage of one source; the first carries the whole source."""
    library = tantivy()
    source = cut[0].source
    language = stemmed_as(source.language)
    made = []
    date = microseconds(source.date) if source.date else None
    names = (("author", folded(source.author)), ("language", source.language), ("kind", source.kind))
    for place, passage in enumerate(cut):
        number = passage_number(digest, passage)
        document = library.Document()
        document.add_unsigned("passage", number)
        document.add_unsigned("key", key)
        document.add_unsigned("digest", digest)
        if place == 0:
            document.add_unsigned("first", 1)
            document.add_bytes("record", packed)
            document.add_text("origin", origin)
        if passage.end - passage.start < len(source.text):  # else it is the whole text
            document.add_unsigned("start", passage.start)
            document.add_unsigned("end", passage.end)
        if source.notes and source.kind != "note":
            document.add_unsigned("noted", 1)
        if date is not None:
            document.add_integer("date", date)
        for name, value in names:
            if value:
                document.add_text(name, value)
        for text in (source.title, passage.text) if source.title else (passage.text,):
            text = spaced(text)
            document.add_text(WORDS, text)
            if language == DEFAULT_LANGUAGE:
                document.add_text(STEMS, text)
            else:
                document.add_pre_tokenized_text(STEMS, stem_analyzer(language).pre_tokenize(text))
        made.append((number, document))
    return made


def folded(author: str) -> str:
    """A name as ``from:`` compares it."""
    return author.removeprefix("@").casefold()


class Asked:
    """A query as tantivy's: the terms to rank by, and what a document must and must not be.

    Attributes:
        must: filters that a document must pass, each with score 0.
        must_not: those it must fail.
        ranking: what scores; None where there is nothing to rank by.
    """

    def __init__(self, query: Query, index_schema: Any, languages: tuple[str, ...]) -> None:
        self._library, self._schema = tantivy(), index_schema
        self.must = [self._whole(name, value) for name, value in _names(query) if value]
        noted = [self._library.Query.term_query(index_schema, "noted", 1)]
        self.must += noted if query.has_note else []
        if query.since or query.until:
            self.must.append(self._dates(query))
        self.must += [asked for phrase in query.phrases if (asked := self._phrase(phrase))]
        self.must_not = noted if query.has_note is False else []
        self.must_not += [asked for phrase in query.excluded if (asked := self._phrase(phrase))]
        self.ranking = self._ranking(query.text, languages)

    def filtered(self, ranking: Any = None) -> Any:
        """The query; without ``ranking`` everything that passes the filters scores 0."""
        library = self._library
        parts = [(library.Occur.Must, library.Query.const_score_query(each, 0.0)) for each in self.must]
        parts += [(library.Occur.MustNot, each) for each in self.must_not]
        if ranking is not None:
            parts.append((library.Occur.Must, ranking))
        elif not self.must:
            parts.append((library.Occur.Must, library.Query.const_score_query(library.Query.all_query(), 0.0)))
        return parts[0][1] if len(parts) == 1 else library.Query.boolean_query(parts)

    @property
    def filters(self) -> bool:
        """Whether anything is filtered."""
        return bool(self.must or self.must_not)

    def among(self, passages: list[int], ranking: Any = None) -> Any:
        """What passes the filters, of some passages."""
        library = self._library
        wanted = library.Query.term_set_query(self._schema, "passage", passages)
        parts = [(library.Occur.Must, library.Query.const_score_query(wanted, 0.0))]
        parts.append((library.Occur.Must, self.filtered(ranking)))
        return library.Query.boolean_query(parts)

    def _whole(self, name: str, value: str) -> Any:
        return self._library.Query.term_query(self._schema, name, value, "basic")

    def _dates(self, query: Query) -> Any:
        return self._library.Query.range_query(
            self._schema,
            "date",
            self._library.FieldType.Integer,
            microseconds(query.since) if query.since else None,
            microseconds(query.until) if query.until else None,
            include_upper=query.until is None,  # an open end must say so
        )

    def _phrase(self, text: str) -> Any:
        """The words of ``text`` side by side; None if it has no word."""
        terms = words(text)
        if len(terms) < 2:
            return self._library.Query.term_query(self._schema, WORDS, terms[0]) if terms else None
        return self._library.Query.phrase_query(self._schema, WORDS, terms)

    def _ranking(self, text: str, languages: tuple[str, ...]) -> Any:
        """Any of the stems; where all words are function words, any of the words."""
        library = self._library
        stemmed, terms = asked_terms(text, languages)
        field = STEMS if stemmed else WORDS
        parts = [(library.Occur.Should, library.Query.term_query(self._schema, field, term, "freq")) for term in terms]
        return library.Query.boolean_query(parts) if parts else None


def _names(query: Query) -> tuple[tuple[str, str], ...]:
    return (("author", folded(query.author)), ("language", query.language), ("kind", query.kind))
