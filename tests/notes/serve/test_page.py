"""The page in a real browser, where there is one: a trade made here moves the price in another window."""

import time
from collections.abc import Callable

import pytest

pytestmark = pytest.mark.slow


def until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_a_trade_moves_the_price_in_another_window_by_keyboard_and_on_a_narrow_screen(service, browser) -> None:
    service.open("n1", post_text="<script>alert(1)</script> & <b>bold</b>", note_text="It is rock")
    service.open("n2")
    wide, narrow = (browser.new_context(viewport={"width": w, "height": 740}).new_page() for w in (1200, 360))
    faults: list[str] = []
    for page in (wide, narrow):
        page.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.goto(service.url + "/#n1")
        page.wait_for_selector("#price")
    assert "<script>alert(1)</script> & <b>bold</b>" in wide.text_content("#detail")
    wide.fill("#key", service.keys["ann"])
    wide.keyboard.press("Enter")
    until(lambda: "ann" in wide.text_content("#who"))
    wide.focus("#trade-amount")
    wide.keyboard.type("4")
    wide.keyboard.press("Enter")
    until(lambda: "price now" in wide.text_content("#trade output"))
    until(lambda: narrow.text_content("#price") != "50.0 %")
    assert narrow.text_content("#price") == wide.text_content("#price")
    until(lambda: "ann" in narrow.text_content("#below"))
    wide.focus("#list button[aria-current=true]")
    wide.keyboard.press("ArrowUp")  # the list begins with the latest market
    until(lambda: wide.get_attribute("#detail", "data-name") == "n2")
    assert narrow.evaluate_handle("document.documentElement").get_property("scrollWidth").json_value() <= 360
    assert faults == []


def test_a_key_that_is_wrong_and_a_trade_that_is_too_large_are_said_in_words(service, browser) -> None:
    service.open("n1")
    page = browser.new_page()
    page.goto(service.url)
    page.wait_for_selector("#trade")
    page.fill("#key", "kn-wrong")
    page.keyboard.press("Enter")
    until(lambda: "not known" in page.text_content("#who"))
    page.fill("#key", service.keys["ann"])
    page.keyboard.press("Enter")
    until(lambda: "1,000.00 credits" in page.text_content("#who"))
    page.fill("#trade-amount", "5000")
    page.click("#trade button")
    until(lambda: "micro-credits and this takes" in page.text_content("#trade output"))
    assert "1,000.00 credits" in page.text_content("#who")  # nothing was taken
