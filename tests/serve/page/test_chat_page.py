"""A conversation on the page, in a real browser where there is one."""

import pytest
from page_visitor import until
from scripted_server import answer_text

pytestmark = pytest.mark.slow


def said(*texts: str) -> list[dict[str, str]]:
    return [{"role": ("user", "assistant")[place % 2], "content": text} for place, text in enumerate(texts)]


def test_a_conversation_sends_all_that_was_said_and_the_settings(visitor, serve) -> None:
    server = serve()
    one = visitor().visit(server.url)
    one.page.fill("#system", "Be brief.")
    one.page.fill("#seed", "7")
    one.page.fill("#temperature", "0.5")
    first = one.ask("Hello\n  there")
    second = one.ask("And then?")
    system = [{"role": "system", "content": "Be brief."}]
    assert first == answer_text([*system, *said("Hello\n  there")], 7)
    assert second == answer_text([*system, *said("Hello\n  there", first, "And then?")], 7)
    asked = server.script.requests[-1]
    assert asked["messages"] == [*system, *said("Hello\n  there", first, "And then?")]
    assert (asked["temperature"], asked["seed"], asked["top_p"], asked["max_completion_tokens"]) == (0.5, 7, 1, 256)
    assert "prompt tokens from the cache" in one.text(".turn:last-child .about")
    assert one.page.evaluate("() => document.activeElement.id") == "prompt"


def test_a_conversation_stays_over_a_reload_and_is_not_seen_in_another_browser_tab(visitor, serve) -> None:
    server = serve()
    one = visitor().visit(server.url)
    one.ask("Hello")
    one.ask("Again")
    one.page.fill("#seed", "5")
    one.page.fill("#prompt", "half a tu")
    texts = one.texts()
    one.page.reload()
    until(lambda: len(one.texts()) == 4)
    assert one.texts() == texts
    assert (one.page.input_value("#seed"), one.page.input_value("#prompt")) == ("5", "half a tu")
    other = one.page.context.new_page()
    other.goto(server.url)
    other.wait_for_selector("#empty:not([hidden])")
    other.fill("#prompt", "Something else")
    other.keyboard.press("Enter")
    other.wait_for_selector(".about:not(:empty)")
    assert one.texts() == texts
    one.page.click("#new")
    until(lambda: one.texts() == [])
    one.page.get_by_role("button", name="Bring the last one back").click()
    until(lambda: one.texts() == texts)


@pytest.mark.parametrize("way", ["key", "button"])
def test_stop_keeps_what_came_and_lets_the_server_go(visitor, serve, way) -> None:
    server = serve()
    one = visitor().visit(server.url)
    one.begin("slow please")
    until(lambda: len(one.texts()[-1]) > 20)
    one.page.keyboard.press("Escape") if way == "key" else one.page.click("#stop")
    until(one.at_rest)
    until(lambda: server.script.broken_off == 1)
    whole = answer_text(said("slow please"), 0)
    assert whole.startswith(one.texts()[-1])
    assert len(one.texts()[-1]) < len(whole)
    assert "stopped" in one.text(".turn:last-child .about")
    partial = one.texts()[-1]
    one.ask("short")
    assert server.script.requests[-1]["messages"][1] == {"role": "assistant", "content": partial}


def test_an_answer_on_its_way_is_kept_over_a_reload_as_stopped(visitor, serve) -> None:
    one = visitor().visit(serve().url)
    one.begin("slow please")
    until(lambda: len(one.texts()[-1]) > 20)
    one.page.reload()
    until(lambda: "stopped" in one.text("#turns"))
    assert answer_text(said("slow please"), 0).startswith(one.texts()[-1])
    assert len(one.texts()[-1]) > 10


def test_an_edited_turn_is_a_branch_and_the_arrows_go_between_branches_with_all_that_follows(visitor, serve) -> None:
    one = visitor().visit(serve().url)
    first = one.ask("Hello")
    one.ask("More")
    old = one.texts()
    one.press("Edit", 0)
    one.page.keyboard.type(" you")
    one.page.keyboard.press("Enter")
    until(lambda: len(one.texts()) == 2 and one.at_rest())
    assert one.texts() == ["Hello you", answer_text(said("Hello you"), 0)]
    assert one.text(".turn .place") == "2/2"
    one.picture("branches")
    one.press("Branch before", 0)
    assert one.texts() == old
    assert one.page.evaluate("() => document.activeElement.getAttribute('aria-label')") == "Next branch"
    one.page.keyboard.press("Enter")
    assert one.texts()[0] == "Hello you"
    one.press("Branch before", 0)
    one.page.reload()
    until(lambda: len(one.texts()) == 4)
    assert one.texts() == old
    one.press("Edit", 0)
    one.page.keyboard.press("Escape")
    assert one.texts() == old
    assert first == old[1]


def test_regenerate_makes_branches_with_the_next_seeds(visitor, serve) -> None:
    one = visitor().visit(serve().url)
    first = one.ask("Hello")
    for seed in (1, 2):
        one.press("Regenerate")
        until(lambda seed=seed: one.at_rest() and one.text(".turn.assistant .place") == f"{seed + 1}/{seed + 1}")
        assert one.texts()[-1] == answer_text(said("Hello"), seed)
        assert f"seed {seed}" in one.text(".turn.assistant .about")
    one.press("Branch before")
    one.press("Branch before")
    assert one.texts()[-1] == first


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a broken one", "the engine failed at a step"),
        ("a cut off one", "the connection ended before the answer did"),
    ],
)
def test_an_answer_that_fails_midway_says_so_in_place_and_can_be_asked_for_again(visitor, serve, text, words) -> None:
    server = serve()
    one = visitor().visit(server.url)
    one.ask(text)
    assert words in one.text(".turn:last-child .fault")
    server.script.fail = False
    if "cut off" in text:
        return
    one.page.click(".retry")
    until(lambda: one.at_rest() and not one.page.is_visible(".retry"))
    assert one.texts()[-1] == answer_text(said(text), 0)


def test_a_busy_server_and_one_that_is_gone_are_said_in_place(visitor, serve) -> None:
    server = serve(refuse=1)
    one = visitor().visit(server.url)
    one.ask("Hello")
    assert "too many requests are waiting; the server would be asked again in 2 s" in one.text(".assistant .fault")
    one.picture("fault")
    one.page.click(".retry")
    until(lambda: one.at_rest() and one.texts()[-1] == answer_text(said("Hello"), 0))
    one.page.context.set_offline(True)
    one.ask("And now?")
    assert "the server cannot be reached" in one.text(".turn:last-child .fault")
    one.faults.clear()  # the browser's own line of a connection that failed


def test_settings_that_are_out_of_range_are_said_and_not_sent(visitor, serve) -> None:
    server = serve(context=100)
    one = visitor().visit(server.url)
    until(lambda: one.page.input_value("#max_tokens") == "50")
    one.page.fill("#temperature", "9")
    assert "Temperature is from 0 to 2." in one.text("#settings-fault")
    one.ask("Hello")
    assert server.script.requests[-1]["temperature"] == 0.8
    one.page.fill("#temperature", "0")
    assert one.text("#settings-fault") == ""
    one.page.fill("#max_tokens", "3")
    one.ask("Hello again")
    assert server.script.requests[-1]["temperature"] == 0
    assert "cut: most tokens reached" in one.text(".turn:last-child .about")


def test_a_base_model_is_said_in_one_line(visitor, serve) -> None:
    one = visitor().visit(serve(trained_on_chats=False).url)
    until(lambda: one.page.is_visible("#base"))
    assert "continues the text" in one.text("#base")


def test_the_key_is_asked_for_and_kept_in_this_tab_and_never_in_an_address(visitor, serve) -> None:
    server = serve(key="kk-right")
    one = visitor().visit(server.url)
    one.picture("key")
    one.page.fill("#key", "kk-wrong")
    one.page.keyboard.press("Enter")
    until(lambda: "does not know this key" in one.text("#key-fault"))
    one.page.fill("#key", "kk-right")
    one.page.keyboard.press("Enter")
    until(lambda: "scripted" in one.text("#model"))
    assert one.ask("Hello") == answer_text(said("Hello"), 0)
    assert "kk-" not in one.page.url
    one.page.reload()
    until(lambda: "scripted" in one.text("#model"))
    other = visitor().visit(server.url)
    assert other.page.is_visible("#key-dialog")
    other.page.keyboard.press("Escape")
    until(lambda: "a key is needed" in other.text("#trouble"))
