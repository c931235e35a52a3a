"""The chat template of a Hugging Face folder, run in a sandbox, and its text as tokens.

A template writes the model's special tokens as text. Those of its own become tokens; those that somebody spells in a
message stay text. So before a template sees a message, one character that occurs nowhere is put into each special token
spelt there, and into what could become one beside other text; after the template's text has been cut at the special
tokens in it, that character is taken out again. A template may trim or cut messages as it likes.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from kolossos.data.tokenizer import Tokenizer
from kolossos.data.tokenizer_files import named_token, read_config
from kolossos.errors import InputError
from kolossos.serve.transcript import Turn

TEMPLATE_FILE = "chat_template.jinja"
LONGEST_TEMPLATE = 256 * 1024
LONGEST_SECONDS = 10.0
MOST_STEPS = 1_000_000
"""Of all ranges of one rendering."""
TOKEN_NAMES = ("bos_token", "eos_token", "pad_token", "unk_token", "sep_token", "cls_token", "mask_token")


class TemplateError(InputError):
    """The template refused these messages, or asked for more than it may."""


def find_template(folder: Path) -> str | None:
    """The chat template of a folder: chat_template.jinja, else that of tokenizer_config.json; None without one.

    Raises:
        InputError: it is no text, or longer than 256 KiB.
    """
    file = folder / TEMPLATE_FILE
    try:
        found: Any = file.read_text(encoding="utf-8") if file.is_file() else read_config(folder).get("chat_template")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{file} cannot be read: {error}") from None
    if isinstance(found, list):
        named = {one.get("name"): one.get("template") for one in found if isinstance(one, dict)}
        found = named.get("default")
    if found is None:
        return None
    if not isinstance(found, str) or len(found) > LONGEST_TEMPLATE:
        raise InputError(f"{folder}: its chat template is no text of at most {LONGEST_TEMPLATE:,} characters")
    return found


class Template:
    """One template, ready to write messages."""

    def __init__(self, source: str, tokenizer: Tokenizer, names: Mapping[str, str], longest: int = 16 * 2**20) -> None:
        """names: what the template calls ``bos_token`` and so on. longest: characters of a text it may write.

        Raises:
            InputError: the template cannot be read, or jinja2 is not installed.
        """
        try:
            from jinja2 import TemplateError as JinjaError
        except ImportError:
            raise InputError("chat templates need jinja2: pip install 'kolossos[serve]'") from None
        from kolossos.serve.http.prompt.sandbox import Sandbox

        self._errors = (JinjaError, TypeError, ValueError, LookupError, ArithmeticError, AttributeError, RecursionError)
        self._tokenizer, self._names, self._longest = tokenizer, dict(names), longest
        self.source = source
        self._sandbox = Sandbox(MOST_STEPS, LONGEST_SECONDS, longest)
        try:
            self._template = self._sandbox.from_string(source)
        except self._errors as error:
            raise InputError(f"the chat template cannot be read: {error}") from None

    @classmethod
    def of_folder(cls, folder: Path, tokenizer: Tokenizer) -> "Template | None":
        """The folder's template with its names of tokens; None without one. InputError as above."""
        source = find_template(folder)
        if source is None:
            return None
        config = read_config(folder)
        names = {name: token for name in TOKEN_NAMES if (token := named_token(config, name))}
        if tokenizer.begin_ids and "bos_token" not in names:
            texts = {i: text for text, i in tokenizer.special_tokens.items()}
            names["bos_token"] = texts.get(tokenizer.begin_ids[0], "")
        return cls(source, tokenizer, {"bos_token": "", "eos_token": tokenizer.end_token} | names)

    def tokens(self, turns: Sequence[Turn], ask: bool = True) -> list[int]:
        """Token ids of the conversation; ``ask``: for the assistant's next turn.

        Raises:
            TemplateError: the template refuses these messages, fails on them, or takes too long.
        """
        texts = [turn.text for turn in turns]
        mark = _unused_character([self.source, *texts])
        messages = [{"role": turn.role, "content": self._guarded(turn.text, mark)} for turn in turns]
        ids: list[int] = []
        for piece in self._tokenizer.split_special(self._render(messages, ask)):
            ids += [piece] if isinstance(piece, int) else self._encoded(piece.replace(mark, ""))
        begin = self._tokenizer.special_tokens.get(self._names.get("bos_token", ""))
        while begin is not None and ids[:2] == [begin, begin]:
            ids = ids[1:]
        return ids

    def _encoded(self, text: str) -> list[int]:
        return self._tokenizer.encode_batch([text])[0] if text else []  # a batch lets other threads run

    def _render(self, messages: list[dict[str, str]], ask: bool) -> str:
        pieces, length, ends = [], 0, time.monotonic() + LONGEST_SECONDS
        values = {"messages": messages, "add_generation_prompt": ask, "tools": None, "documents": None, **self._names}
        try:
            with self._sandbox.budget():
                for piece in self._template.generate(**values):
                    length += len(piece)
                    if length > self._longest or time.monotonic() > ends:
                        raise TemplateError("the chat template writes too much, or takes too long")
                    pieces.append(piece)
        except self._errors as error:
            raise TemplateError(f"the chat template refuses these messages: {error}") from None
        except MemoryError:
            raise TemplateError("the chat template asks for too much memory") from None
        return "".join(pieces)

    def _guarded(self, text: str, mark: str) -> str:
        """``text`` with ``mark`` in every special token that it spells, or that its ends could become a part of."""
        for name in self._tokenizer.special_tokens:
            if name in text:
                text = text.replace(name, name[0] + mark + name[1:] if len(name) > 1 else mark)
        end, start = len(text.rstrip()), len(text) - len(text.lstrip())
        cuts = set()
        for name in self._tokenizer.special_tokens:
            for n in range(1, len(name)):
                if text.endswith(name[:n], 0, end):
                    cuts.add(end - n + 1)
                if text.startswith(name[-n:], start):
                    cuts.add(start + n - 1)
        for at in sorted(cuts, reverse=True):
            text = text[:at] + mark + text[at:]
        return text


def _unused_character(texts: Sequence[str]) -> str:
    """A character of those that Unicode gives no meaning, which no text holds."""
    candidates: Iterator[int] = iter([*range(0xFDD0, 0xFDF0), *range(0xE000, 0xF8FF), *range(0xF0000, 0xFFFFE)])
    used = set().union(*map(set, texts))
    return next(chr(code) for code in candidates if chr(code) not in used)
