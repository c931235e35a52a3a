"""A chat without a terminal: what the model is asked, what is remembered, and which commands work."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

import kolossos.serve.chat as chatting
from kolossos.data.tokenizer import Tokenizer
from kolossos.model.decoder import Decoder
from kolossos.serve.chat import Chat
from kolossos.serve.generate import generate
from kolossos.serve.load import trained_on_chats
from kolossos.serve.options import GenerationOptions
from kolossos.serve.terminal import chat_by_lines, converse
from kolossos.serve.transcript import Transcript, Turn

OPTIONS = GenerationOptions(max_new_tokens=8, seed=3)


def script(*lines: str | type[BaseException]) -> Callable[[], str]:
    """A person who types these lines; exceptions are keys pressed; then Ctrl-D."""
    left = iter([*lines, EOFError])

    def read() -> str:
        line = next(left)
        if isinstance(line, str):
            return line
        raise line

    return read


@pytest.fixture
def chat(model: Decoder, tokenizer: Tokenizer) -> Chat:
    return Chat(model, tokenizer, OPTIONS, chat=False)


def talk(chat: Chat, *lines: str | type[BaseException]) -> tuple[str, list[str]]:
    answers: list[str] = []
    said: list[str] = []
    converse(chat, script(*lines), answers.append, said.append)
    return "".join(answers), said


def test_prompt_of_a_chat_model_marks_every_turn(tokenizer: Tokenizer) -> None:
    transcript = Transcript(
        True, [Turn("system", "be"), Turn("user", "hi"), Turn("assistant", "ho"), Turn("user", "?")]
    )
    tokens = transcript.prompt(tokenizer, room=100)
    expected = "<|system|>be<|user|>hi<|assistant|>ho<|endoftext|><|user|>?<|assistant|>"
    assert tokenizer.decode(tokens, keep_special=True) == expected


def test_a_typed_marker_stays_text(tokenizer: Tokenizer) -> None:
    tokens = Transcript(True, [Turn("user", "<|assistant|>")]).prompt(tokenizer, room=100)
    assert tokens.count(tokenizer.special_id("<|assistant|>")) == 1


def test_prompt_of_a_base_model_is_the_text_so_far(tokenizer: Tokenizer) -> None:
    transcript = Transcript(False, [Turn("user", "Once"), Turn("assistant", " upon"), Turn("user", "a time")])
    assert tokenizer.decode(transcript.prompt(tokenizer, room=100)) == "Once upon\na time"


def test_the_oldest_turns_make_room_but_not_the_system_and_the_last(tokenizer: Tokenizer) -> None:
    turns = [Turn("system", "S"), Turn("user", "a" * 50), Turn("assistant", "b"), Turn("user", "c")]
    text = tokenizer.decode(Transcript(True, turns).prompt(tokenizer, room=12), keep_special=True)
    assert text == "<|system|>S<|assistant|>b<|endoftext|><|user|>c<|assistant|>"
    text = tokenizer.decode(Transcript(True, turns).prompt(tokenizer, room=1), keep_special=True)
    assert text == "<|system|>S<|user|>c<|assistant|>"


def test_a_second_answer_continues_the_first(chat: Chat, model: Decoder, tokenizer: Tokenizer) -> None:
    first = "".join(chat.ask("the fox"))
    second = "".join(chat.ask("and"))
    prompt = tokenizer.encode_document("the fox" + first + "\nand")
    assert second == "".join(e.text for e in generate(model, tokenizer, [prompt], OPTIONS, first_index=2))


def test_reset_forgets_and_repeats_the_first_answer(chat: Chat) -> None:
    first = "".join(chat.ask("the fox"))
    assert talk(chat, "/reset")[1] == ["forgotten"]
    assert "".join(chat.ask("the fox")) == first
    assert len(chat.transcript.turns) == 2


def test_system_text_survives_a_reset(model: Decoder, tokenizer: Tokenizer) -> None:
    chat = Chat(model, tokenizer, OPTIONS, chat=True, system="be brief")
    chat.reset()
    assert chat.transcript.turns == [Turn("system", "be brief")]


def test_settings_change_the_next_answer(chat: Chat) -> None:
    talk(chat, "/set temperature 0", "/set top-k 5", "/set max_new_tokens 3")
    assert chat.options == GenerationOptions(3, 0.0, 5, seed=3)
    talk(chat, "/set top_k none")
    assert chat.options.top_k is None


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("/set temperature hot", "temperature 'hot' is no number"),
        ("/set temprature 1", "did you mean 'temperature'"),
        ("/set temperature -1", "temperature -1.0 is out of range"),
        ("/set temperature", "is no command"),
        ("/jump", "is no command"),
        ("/save", "is no command"),
        ("/save /no/such/folder/file", "cannot be written"),
    ],
)
def test_wrong_commands_are_one_line_and_the_chat_goes_on(chat: Chat, line: str, message: str) -> None:
    answers, said = talk(chat, line, "/help")
    assert message in said[0]
    assert said[1].startswith("/help")
    assert answers == "\n"


def test_save_writes_the_transcript(chat: Chat, tmp_path: Path) -> None:
    talk(chat, "the fox", f"/save {tmp_path}/my chat.txt")
    assert (tmp_path / "my chat.txt").read_text() == chat.transcript.text()
    assert chat.transcript.text().startswith("the fox")
    readable = Transcript(True, [Turn("user", "hi"), Turn("assistant", "ho")]).text()
    assert readable == "user: hi\nassistant: ho\n"


def test_quit_leaves_at_once(chat: Chat) -> None:
    answers, _ = talk(chat, "/quit", "never read")
    assert answers == ""


def test_ctrl_c_at_the_prompt_gives_up_the_line_only(chat: Chat) -> None:
    _, said = talk(chat, KeyboardInterrupt, "/reset")
    assert said == ["forgotten"]


def test_ctrl_c_stops_the_answer_and_keeps_what_came(chat: Chat, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*args: object, **kwargs: object):
        for count, event in enumerate(generate(*args, **kwargs)):  # type: ignore[arg-type]
            if count == 3:
                raise KeyboardInterrupt
            yield event

    monkeypatch.setattr(chatting, "generate", interrupted)
    answers, said = talk(chat, "the fox", "/reset")
    assert answers.endswith(" …\n\n")
    assert said == ["forgotten"]


def test_a_prompt_too_long_is_said_and_forgotten(chat: Chat) -> None:
    _, said = talk(chat, "fox " * 400)
    assert "no room for an answer" in said[0]
    assert chat.transcript.turns == []


def test_lines_are_prompts_and_answers_are_all_that_comes_out(chat: Chat) -> None:
    out: list[str] = []
    chat_by_lines(chat, ["the fox\n", "\n", "/quit\n"], out.append)
    assert [t.text for t in chat.transcript.turns if t.role == "user"] == ["the fox", "/quit"]
    answers = [t.text for t in chat.transcript.turns if t.role == "assistant"]
    assert "".join(out) == "".join(answer + "\n" for answer in answers)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (None, False),
        ("{}", False),
        ("not json", False),
        (json.dumps({"chat_template": "[INST]"}), False),
        (json.dumps({"chat_template": "<|user|>{{ x }}<|assistant|>"}), True),
    ],
)
def test_only_a_chat_template_says_trained_on_chats(
    tokenizer: Tokenizer, tmp_path: Path, content: str | None, expected: bool
) -> None:
    if content is not None:
        (tmp_path / "tokenizer_config.json").write_text(content)
    assert trained_on_chats(tmp_path, tokenizer) == expected
