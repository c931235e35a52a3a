"""The pictures of the page of ``kolossos serve`` in the documentation, from a server that runs already.

    pip install playwright; kolossos serve RUN &                       # chromium must be installed
    python benchmarks/serve/page_picture.py http://127.0.0.1:8000/ "a turn" "another turn"

Writes docs/serve.png, a conversation with the probabilities of its tokens, and docs/serve_watch.png, the numbers while
the server answers to several at once.
"""

import re
import shutil
import sys
from pathlib import Path
from typing import Any

DOCS = Path(__file__).resolve().parents[2] / "docs"
WINDOW = {"width": 1120, "height": 860}
COMPANY = 4  # windows that ask at the same time as the one that watches
WATCHED_MS = 6_000
MOST_TOKENS = 110


def converse(page: Any, turns: list[str]) -> None:
    """Send ``turns`` one after another, each after the answer to the one before."""
    for turn in turns:
        page.fill("#prompt", turn)
        page.press("#prompt", "Enter")
        page.wait_for_selector(".turn.working", state="detached", timeout=600_000)


def opened(browser: Any, address: str) -> Any:
    """A window of its own at the page, the model known and probabilities asked for."""
    page = browser.new_context(viewport=WINDOW).new_page()
    page.goto(address)
    page.wait_for_function("() => document.querySelector('#model').textContent !== ''")
    page.check("#probabilities")
    page.fill("#max_tokens", str(MOST_TOKENS))
    page.press("#max_tokens", "Tab")
    return page


def show_doubt(page: Any) -> None:
    """Point at the first token of the last answer that was not the likeliest thing to say."""
    answer = page.locator(".turn.assistant").last.locator(".tokens")
    words = re.compile(r"\w")  # a token of blanks is hard to point at
    doubtful = answer.locator(".p2, .p3, .p4").filter(has_text=words)
    (doubtful.first if doubtful.count() else answer.locator(".token").filter(has_text=words).last).hover()
    page.wait_for_selector("#alternatives:not([hidden])")


def main() -> None:
    """Talk, take a picture, then watch while some windows ask at once."""
    from playwright.sync_api import sync_playwright  # pyright: ignore[reportMissingImports]

    if len(sys.argv) < 3:
        raise SystemExit("page_picture.py ADDRESS TURN...: the address of a running server, and what to say to it")
    address, turns = sys.argv[1], sys.argv[2:]
    with sync_playwright() as running:
        browser = running.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = opened(browser, address)
        converse(page, turns)
        show_doubt(page)
        page.screenshot(path=DOCS / "serve.png")
        others = [opened(browser, address) for _ in range(COMPANY)]
        page.click("#tab-watch")
        for other in others:
            other.fill("#prompt", turns[0])
            other.press("#prompt", "Enter")
        page.bring_to_front()  # what lies behind is not asked for its numbers
        page.wait_for_timeout(WATCHED_MS)
        page.screenshot(path=DOCS / "serve_watch.png")
        browser.close()
    print(f"written: {DOCS / 'serve.png'} and {DOCS / 'serve_watch.png'}")


if __name__ == "__main__":
    main()
