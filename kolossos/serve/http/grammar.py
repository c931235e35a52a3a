"""Answers that keep to a JSON schema: which tokens may come next, by llguidance."""

import json
import threading
from collections.abc import Sequence
from typing import Any

import numpy as np

from kolossos.data.tokenizer import Tokenizer
from kolossos.errors import InputError
from kolossos.serve.http.wire.reading import depth
from kolossos.serve.http.wire.refusals import Refusal, invalid

LARGEST_SCHEMA = 64 * 1024
DEEPEST_SCHEMA = 32
_BLANKS = r"[ \n\t]{0,16}"
"""Between the parts of a JSON text: enough to indent with, and no endless run of it."""


class GrammarError(InputError):
    """The answer cannot go on within its grammar."""


class SchemaGrammar:
    """One answer on its way through a schema; see `kolossos.serve.engine.request.Grammar`."""

    def __init__(self, matcher: Any, vocab_size: int, end_tokens: Sequence[int]) -> None:
        self._matcher, self._vocab_size, self._end_tokens = matcher, vocab_size, list(end_tokens)

    def allowed(self) -> np.ndarray:
        """bool [vocabulary]; GrammarError where nothing may come, or the library gives up."""
        if self._matcher.is_stopped() and not self._matcher.is_error():
            mask = np.zeros(self._vocab_size, bool)
            mask[self._end_tokens] = True
            return mask
        bits = np.frombuffer(self._matcher.compute_bitmask(), np.uint8)
        if self._matcher.is_error():
            raise GrammarError(f"the schema is too much for the grammar library: {self._matcher.get_error()[:200]}")
        mask = np.unpackbits(bits, count=self._vocab_size, bitorder="little").astype(bool)
        if not mask.any():
            raise GrammarError("no token may come next by this schema")
        return mask

    def accept(self, token: int) -> None:
        """``token`` was chosen; GrammarError if it may not come."""
        if self._matcher.is_stopped() and token in self._end_tokens:
            return
        if not self._matcher.consume_token(token):
            raise GrammarError(f"token {token} may not come here by the schema")


class Grammars:
    """Makes grammars for one vocabulary; the library's own tables are made at the first."""

    def __init__(self, tokenizer: Tokenizer, vocab_size: int) -> None:
        self._tokenizer, self._vocab_size = tokenizer, vocab_size
        self._end_tokens = sorted(i for i in tokenizer.stop_ids if i < vocab_size)
        self._lock = threading.Lock()
        self._tables: Any = None

    def make(self, schema: Any, param: str) -> SchemaGrammar:
        """A grammar for texts that keep to ``schema``; call it in a thread.

        Raises:
            Refusal: 400 for what is no schema, is too large or deep, can never be met, or without the library.
        """
        text = json.dumps(schema)
        if len(text) > LARGEST_SCHEMA or depth(schema, DEEPEST_SCHEMA) > DEEPEST_SCHEMA:
            raise invalid(param, f"a schema has at most {LARGEST_SCHEMA:,} bytes and is {DEEPEST_SCHEMA} deep at most")
        library = _library(param)
        try:
            grammar = library.LLMatcher.grammar_from_json_schema(text, overrides={"whitespace_pattern": _BLANKS})
            limits = library.LLParserLimits(verbose_errors=False, max_lexer_states=50_000, max_grammar_size=100_000)
            matcher = library.LLMatcher(self._library_tables(library), grammar, log_level=0, limits=limits)
            if matcher.is_error():
                raise ValueError(matcher.get_error())
            made = SchemaGrammar(matcher, self._vocab_size, self._end_tokens)
            made.allowed()  # some errors show only here
        except (ValueError, TypeError, RuntimeError, InputError) as error:
            raise invalid(param, f"no usable schema: {str(error)[:300]}", "invalid_schema") from None
        return made

    def _library_tables(self, library: Any) -> Any:
        with self._lock:
            if self._tables is None:
                words = library.TokenizerWrapper(_Words(self._tokenizer))
                self._tables = library.LLTokenizer(words, n_vocab=self._vocab_size, eos_token=self._end_tokens)
            return self._tables


class _Words:
    """The vocabulary as the library asks for it."""

    bos_token_id = None

    def __init__(self, tokenizer: Tokenizer) -> None:
        ids = range(tokenizer.vocab_size)
        self._tokenizer = tokenizer
        self.eos_token_id = tokenizer.eos_id
        self.tokens = [tokenizer.token_bytes(i, keep_special=True) for i in ids]
        self.special_token_ids = sorted({i for i in ids if tokenizer.is_special(i)} | (tokenizer.stop_ids & set(ids)))

    def __call__(self, text: str | bytes) -> list[int]:
        return self._tokenizer.encode(text.decode("utf-8", "replace") if isinstance(text, bytes) else text)


def _library(param: str) -> Any:
    try:
        import llguidance
    except ImportError:
        raise Refusal(
            400, f"{param}: schemas need llguidance on the server: pip install 'kolossos[serve]'", param=param
        ) from None
    return llguidance
