"""The chat in a terminal, and the same without one: a prompt a line in, answers out."""

import contextlib
from collections.abc import Callable, Iterable
from pathlib import Path

from kolossos.errors import InputError
from kolossos.serve.chat import SETTINGS, Chat

BASE_MODEL = "This model has not been trained on chats: it does not answer, it continues the text."
HELP = f"""\
/help               this list
/reset              forget what was said
/set NAME VALUE     change one of {", ".join(SETTINGS)}
/save FILE          write the transcript to a file
/quit               leave, as Ctrl-D does; Ctrl-C stops an answer"""


def chat_by_lines(chat: Chat, lines: Iterable[str], write: Callable[[str], object]) -> None:
    """Answer every line that is not empty, each answer ended by a new line."""
    for line in lines:
        if line.strip():
            for piece in chat.ask(line.rstrip("\r\n")):
                write(piece)
            write("\n")


def chat_in_terminal(chat: Chat, title: str, printable: Callable[[str], str]) -> None:
    """Talk until /quit or Ctrl-D; ``printable`` makes what a model writes safe for a terminal."""
    from rich.console import Console

    with contextlib.suppress(ImportError):  # line editing and history, where the system has it
        import readline  # noqa: F401

    console = Console(highlight=False)
    console.print(title, style="bold", markup=False, end="")
    console.print("   /help lists the commands")
    if not chat.transcript.chat:
        console.print(BASE_MODEL, style="yellow", soft_wrap=True)

    def say(text: str) -> None:
        console.print(printable(text), style="cyan", markup=False, soft_wrap=True)

    def write(piece: str) -> None:
        console.file.write(printable(piece))
        console.file.flush()

    converse(chat, read=lambda: input("> "), write=write, say=say)


def converse(chat: Chat, read: Callable[[], str], write: Callable[[str], object], say: Callable[[str], object]) -> None:
    """Read a line, answer or obey it, and again. ``write`` takes pieces of answers, ``say`` whole lines about the chat.

    ``read`` raises EOFError at the end (Ctrl-D) and KeyboardInterrupt when the line is given up (Ctrl-C).
    """
    while True:
        try:
            line = read()
        except EOFError:
            write("\n")
            return
        except KeyboardInterrupt:
            write("\n")
            continue
        try:
            if line.startswith("/"):
                if not _obey(chat, line, say):
                    return
            elif line.strip():
                _answer(chat, line, write)
        except InputError as error:
            say(f"error: {error}")


def _answer(chat: Chat, line: str, write: Callable[[str], object]) -> None:
    answer = chat.ask(line)
    try:
        for piece in answer:
            write(piece)
    except KeyboardInterrupt:
        write(" …")
    finally:
        answer.close()  # type: ignore[attr-defined]
        write("\n")


def _obey(chat: Chat, line: str, say: Callable[[str], object]) -> bool:
    """Carry out a command; false if it was to leave. InputError for a command that does not exist or is incomplete."""
    command, *words = line.split()
    match command, words:
        case "/quit", []:
            return False
        case "/help", []:
            say(HELP)
        case "/reset", []:
            chat.reset()
            say("forgotten")
        case "/set", [name, value]:
            chat.set(name, value)
            say(f"{name} = {value}")
        case "/save", [_, *_]:
            file = Path(line.removeprefix("/save").strip()).expanduser()
            chat.save(file)
            say(f"saved to {file}")
        case _:
            raise InputError(f"{line!r} is no command; /help lists them")
    return True
