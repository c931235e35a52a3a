"""What was said in a chat, and the prompt it makes for the next answer."""

from dataclasses import dataclass, field
from typing import Literal

from kolossos.data.tokenizer import Tokenizer

Role = Literal["system", "user", "assistant"]


@dataclass(frozen=True)
class Turn:
    role: Role
    text: str


@dataclass
class Transcript:
    """The turns of a chat. ``chat`` says whether the model was trained on chats.

    If it was, a turn is ``<|role|>text``, the assistant's closed by the end token. If not, the texts themselves are the
    prompt, a new line before each of the user's but the first, and the model continues them.
    """

    chat: bool
    turns: list[Turn] = field(default_factory=list)

    def add(self, role: Role, text: str) -> None:
        self.turns.append(Turn(role, text))

    def prompt(self, tokenizer: Tokenizer, room: int) -> list[int]:
        """Token ids that ask for the next answer, without the oldest turns where all are more than ``room`` tokens.

        The system's turn and the last one always stay.
        """
        system = [turn for turn in self.turns if turn.role == "system"]
        said = [turn for turn in self.turns if turn.role != "system"]
        while True:
            tokens = turn_tokens(system + said, tokenizer, self.chat)
            if len(tokens) <= room or len(said) <= 1:
                return tokens
            said = said[1:]

    def text(self) -> str:
        """The whole transcript as a person reads it."""
        if not self.chat:
            return plain_text(self.turns) + "\n"
        return "".join(f"{turn.role}: {turn.text}\n" for turn in self.turns)


def turn_tokens(turns: list[Turn], tokenizer: Tokenizer, chat: bool, ask: bool = True) -> list[int]:
    """Token ids of ``turns`` as `Transcript` says, in their order; ``ask``: for the assistant's next."""
    if not chat:
        return tokenizer.encode_document(plain_text(turns))
    tokens = []
    for turn in turns:
        tokens += [tokenizer.special_id(f"<|{turn.role}|>"), *tokenizer.encode(turn.text)]
        if turn.role == "assistant":
            tokens.append(tokenizer.eos_id)
    return [*tokens, tokenizer.special_id("<|assistant|>")] if ask else tokens


def plain_text(turns: list[Turn]) -> str:
    """The texts of ``turns`` as one text that a model without chat training can continue."""
    return "".join(("\n" if place and turn.role == "user" else "") + turn.text for place, turn in enumerate(turns))
