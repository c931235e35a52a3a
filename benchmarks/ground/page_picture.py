"""The picture of the page of ``kolossos ask --serve`` in the documentation, from a server that runs already.

    kolossos index examples/ground --out town; kolossos ask --serve --sources town &
    pip install playwright; python benchmarks/ground/page_picture.py http://127.0.0.1:8010/  # needs chromium

Asks, opens a quotation by its key, and writes docs/ground.png. Before, it tries the page: that Escape gives the focus
back, that the tabs go by arrow keys, that nothing is wider than a window of 360 pixels, in light and in dark, and that
nothing was loaded from elsewhere.
"""

import shutil
import sys
from pathlib import Path
from typing import Any

DOCS = Path(__file__).resolve().parents[2] / "docs"
WINDOW = {"width": 1180, "height": 760}
NARROW = {"width": 360, "height": 740}
QUESTION = "What did the footbridge cost?"
CLAIMS = "The Ellery footbridge cost 28 million pounds. The ferry stops on 30 June 2026. The mayor is an astronaut."


def ask(page: Any, tab: str, text: str) -> None:
    """Fill in a tab's box and wait for what it finds."""
    page.click(f"#tab-{tab}")
    page.fill(f"#{tab}-text", text)
    page.press(f"#{tab}-text", "Control+Enter" if tab == "check" else "Enter")
    page.wait_for_selector(f"#{tab}-found .answer, #{tab}-found .none", timeout=120_000)


def try_keys(page: Any) -> None:
    """Open and close a quotation, and walk the tabs, by keys alone."""
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("1")
    assert page.inner_text("#source mark") in page.inner_text("#source-text")
    page.keyboard.press("Escape")
    assert page.is_hidden("#source")
    assert page.evaluate("document.activeElement.className") == "cite"
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.id") == "ask-text"
    page.focus("#tab-ask")
    page.keyboard.press("ArrowRight")
    assert page.is_visible("#check")
    page.keyboard.press("ArrowLeft")
    assert page.is_visible("#ask")


def try_narrow(browser: Any, address: str, shown: Path | None) -> None:
    """All tabs in a narrow window, light and dark."""
    for scheme in ("light", "dark"):
        page = browser.new_context(viewport=NARROW, color_scheme=scheme).new_page()
        page.goto(address)
        for tab, text in (("ask", QUESTION), ("check", CLAIMS), ("search", "footbridge")):
            ask(page, tab, text)
            assert page.evaluate("document.documentElement.scrollWidth") <= NARROW["width"], f"{tab} is too wide"
            page.locator(f"#{tab}-found .cite").first.click()
            assert page.evaluate("document.documentElement.scrollWidth") <= NARROW["width"], f"{tab}'s source"
            if shown:
                page.screenshot(path=shown / f"narrow-{scheme}-{tab}.png")


def main() -> None:
    """Try the page, then take the picture."""
    from playwright.sync_api import sync_playwright  # pyright: ignore[reportMissingImports]

    if len(sys.argv) not in (2, 3):
        raise SystemExit("page_picture.py ADDRESS [FOLDER]: of a running server, and where more pictures go")
    address, shown = sys.argv[1], Path(sys.argv[2]) if len(sys.argv) > 2 else None
    with sync_playwright() as running:
        browser: Any = running.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_context(viewport=WINDOW).new_page()
        requested: list[str] = []
        page.on("request", lambda request: requested.append(request.url))
        page.goto(address)
        ask(page, "ask", QUESTION)
        try_keys(page)
        page.evaluate("document.activeElement.blur()")
        page.keyboard.press("2")
        page.screenshot(path=DOCS / "ground.png")
        assert all(url.startswith(address) for url in requested), requested
        if shown:
            ask(page, "check", CLAIMS)
            page.screenshot(path=shown / "check.png")
            ask(page, "search", "footbridge cost")
            page.screenshot(path=shown / "search.png")
        try_narrow(browser, address, shown)
        browser.close()
    print(f"written: {DOCS / 'ground.png'}; keys, narrow windows and requests are as they should be")


if __name__ == "__main__":
    main()
