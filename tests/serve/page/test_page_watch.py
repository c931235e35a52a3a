"""The tab that watches the server, narrow screens, and both colour schemes, in a real browser where there is one."""

import time

import pytest
from page_visitor import until

pytestmark = pytest.mark.slow


def test_the_second_tab_shows_the_numbers_and_asks_only_while_it_is_seen(visitor, serve) -> None:
    server = serve()
    one = visitor().visit(server.url)
    one.page.focus("#tab-chat")
    one.page.keyboard.press("ArrowRight")
    until(lambda: "alive" in one.text("#watch"))
    assert "Of 2,048 pages of 16 tokens, 600 are used, 900 cached, 548 free." in one.text("#watch")
    assert "median 3 rows, at most 8" in one.text("#watch")
    assert "median 130 ms" in one.text("#watch")
    labels = [svg.get_attribute("aria-label") for svg in one.page.query_selector_all("#watch svg")]
    assert len(labels) == 4
    assert all(labels)
    until(lambda: server.script.status_calls > 4)
    until(lambda: "–tokens/s now" not in one.text(".figures"))
    one.page.click("#tab-chat")
    assert_quiet(server)
    one.page.click("#tab-watch")
    called = server.script.status_calls
    until(lambda: server.script.status_calls > called + 1)
    one.page.evaluate(
        "() => { Object.defineProperty(document, 'visibilityState', { value: 'hidden' });"
        " document.dispatchEvent(new Event('visibilitychange')); }"
    )
    assert_quiet(server)


def assert_quiet(server) -> None:
    time.sleep(0.3)  # what was under way may come yet
    called = server.script.status_calls
    time.sleep(1.6)
    assert server.script.status_calls == called


def test_the_tab_is_kept_over_a_reload_and_says_when_the_server_is_gone(visitor, serve) -> None:
    one = visitor().visit(serve().url)
    one.page.click("#tab-watch")
    until(lambda: "alive" in one.text("#watch"))
    one.page.reload()
    until(lambda: "alive" in one.text("#watch"))
    one.page.context.set_offline(True)
    until(lambda: "The server cannot be reached. The numbers are" in one.text("#watch"))
    one.page.context.set_offline(False)
    until(lambda: "alive" in one.text("#watch"))
    assert "cannot be reached" not in one.text("#watch")
    one.faults.clear()  # the browser's own lines of connections that failed


@pytest.mark.parametrize("nested", [False, True])
def test_an_engine_that_is_stuck_or_dead_is_said(visitor, serve, nested) -> None:
    server = serve(stalled_s=42.0, nested=nested)
    one = visitor().visit(server.url)
    one.page.click("#tab-watch")
    until(lambda: "The engine has been at one step for 42.0 s." in one.text("#watch"))
    assert "600 are used" in one.text("#watch")
    server.script.alive = False
    until(lambda: "The engine is dead" in one.text("#watch"))


def test_speeds_are_differences_and_a_server_that_begins_anew_begins_a_new_curve(visitor, serve) -> None:
    one = visitor().visit(serve().url)
    script = """async (points) => {
        const { Rates, readStatus, quantile, tally } = await import("/rates.js");
        const rates = new Rates();
        for (const [now, new_tokens, uptime_s] of points) rates.add(readStatus({ new_tokens, uptime_s }), now);
        return [rates.speeds, quantile([3, 1, 2], 0.5), quantile([], 0.5), tally([1, 2, 5, 9], [1, 3, 5])];
    }"""
    assert one.page.evaluate(script, [[0, 10, 5], [1, 30, 6], [2, 70, 7]]) == [[20, 30], 2, None, [2, 0, 2]]
    assert one.page.evaluate(script, [[0, 10, 5], [1, 30, 6], [2, 0, 0], [8, 24, 6]])[0] == [4]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1200])
def test_nothing_scrolls_sideways_on_a_narrow_screen_in_light_and_dark(visitor, serve, scheme, width) -> None:
    one = visitor(width, color_scheme=scheme).visit(serve().url)
    one.picture(f"empty-{scheme}-{width}")
    one.ask("Tell me of the stars")
    one.ask("code please")
    one.page.evaluate("() => { document.querySelector('#settings').open = true; }")
    assert one.width() <= width
    one.page.evaluate("() => { document.querySelector('#settings').open = innerWidth > 1000; }")
    one.picture(f"chat-{scheme}-{width}")
    one.page.check("#probabilities")
    one.ask("What do they count, and why does nobody listen?")
    one.page.locator(".token").nth(12).focus()
    until(lambda: one.page.is_visible("#alternatives"))
    assert one.width() <= width
    one.picture(f"tokens-{scheme}-{width}")
    one.ask("long " + "y" * 500)
    one.page.uncheck("#probabilities")
    assert one.width() <= width
    one.page.click("#copy-link")
    until(lambda: one.page.is_visible("#link"))
    assert one.width() <= width
    one.page.evaluate("() => scrollTo(0, 0)")
    one.page.click("#tab-watch")
    until(lambda: "alive" in one.text("#watch"))
    time.sleep(3)
    assert one.width() <= width
    one.picture(f"watch-{scheme}-{width}")
