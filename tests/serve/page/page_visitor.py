"""Somebody at the page of ``serve``, who presses keys and reads what stands there."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any


def until(holds: Callable[[], bool]) -> None:
    """Wait until ``holds()``; a busy machine may take its time."""
    end = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.03)


class Visitor:
    """Somebody at the page, in a browser window with a memory of its own."""

    def __init__(self, page: Any, faults: list[str]) -> None:
        self.page, self.faults = page, faults
        page.on("console", self._console)
        page.on("pageerror", lambda error: faults.append(str(error)))

    def _console(self, message: Any) -> None:
        if message.type == "error" and not message.text.startswith("Failed to load resource: the server responded"):
            self.faults.append(message.text)

    def visit(self, url: str) -> "Visitor":
        self.page.goto(url)
        until(lambda: "scripted" in self.text("#model") or self.page.is_visible("#key-dialog"))
        return self

    def text(self, selector: str) -> str:
        return self.page.text_content(selector) or ""

    def texts(self) -> list[str]:
        """What stands in the bodies of the turns shown, first to last."""
        return [body.text_content() for body in self.page.query_selector_all(".turn .body:not([hidden])")]

    def at_rest(self) -> bool:
        return self.page.is_visible("#send")

    def ask(self, text: str) -> str:
        """Send a turn with the keyboard and wait for the whole answer."""
        self.begin(text)
        until(self.at_rest)
        return self.texts()[-1]

    def begin(self, text: str) -> None:
        before = self.page.locator(".turn").count()
        self.page.fill("#prompt", text)
        self.page.focus("#prompt")
        self.page.keyboard.press("Enter")
        until(lambda: self.page.locator(".turn").count() == before + 2)

    def press(self, name: str, turn: int = -1) -> None:
        """Press the button of that name at a turn, counted as in a list."""
        self.page.locator(".turn").nth(turn).get_by_role("button", name=name, exact=True).click()

    def width(self) -> int:
        return self.page.evaluate("() => document.documentElement.scrollWidth")

    def picture(self, name: str) -> None:
        """Keep a picture where PAGE_PICTURES names a folder."""
        if folder := os.environ.get("PAGE_PICTURES"):
            Path(folder).mkdir(parents=True, exist_ok=True)
            self.page.screenshot(path=Path(folder) / f"{name}.png")
