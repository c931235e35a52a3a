"""A chat with a model, apart from the terminal it may run in."""

from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path

from kolossos.data.tokenizer import Tokenizer
from kolossos.errors import InputError, nearest
from kolossos.files import write_whole
from kolossos.model.decoder import Decoder
from kolossos.serve.generate import generate
from kolossos.serve.options import GenerationOptions
from kolossos.serve.transcript import Transcript

SETTINGS = {field.name: field for field in fields(GenerationOptions) if field.name != "stop"}


class Chat:
    """A transcript that grows by asking and answering."""

    def __init__(self, model: Decoder, tokenizer: Tokenizer, options: GenerationOptions, chat: bool, system: str = ""):
        """``chat``: the model was trained on chats. ``system``: what stands before the first turn."""
        self.model, self.tokenizer, self.options, self.system = model, tokenizer, options, system
        self.transcript = Transcript(chat)
        self.reset()

    def ask(self, text: str) -> Iterator[str]:
        """The answer in pieces. What came of it is in the transcript, even if the caller stops listening."""
        self.transcript.add("user", text)
        context = self.model.spec.max_seq_len
        prompt = self.transcript.prompt(self.tokenizer, room=max(context // 2, context - self.options.max_new_tokens))
        self.answers += 1
        pieces = []
        try:
            for event in generate(self.model, self.tokenizer, [prompt], self.options, first_index=self.answers):
                pieces.append(event.text)
                yield event.text
        finally:
            if pieces:
                self.transcript.add("assistant", "".join(pieces))
            else:
                self.transcript.turns.pop()

    def reset(self) -> None:
        """Forget everything that was said; options stay."""
        self.answers = 0
        self.transcript.turns.clear()
        if self.system:
            self.transcript.add("system", self.system)

    def set(self, name: str, value: str) -> None:
        """Change one of the generation options; InputError names what is wrong with it."""
        key = name.replace("-", "_")
        if key not in SETTINGS:
            raise InputError(f"no setting {name!r}{nearest(key, SETTINGS)}")
        kind = float if isinstance(SETTINGS[key].default, float) else int
        try:
            number = None if value == "none" and key == "top_k" else kind(value)
        except ValueError:
            raise InputError(f"{name} {value!r} is no {'number' if kind is float else 'whole number'}") from None
        self.options = replace(self.options, **{key: number})

    def save(self, file: Path) -> None:
        """Write the transcript as text; InputError if that file cannot be written."""
        try:
            write_whole(file, self.transcript.text())
        except OSError as error:
            raise InputError(f"{file} cannot be written: {error.strerror}") from None
