"""Texts and tokens of answers on the page: shown as what they are, never read as markup."""

import pytest
from page_visitor import until
from scripted_server import HOSTILE, SPECIAL

pytestmark = pytest.mark.slow


def test_what_a_model_writes_is_never_markup(visitor, serve) -> None:
    one = visitor().visit(serve().url)
    assert one.ask(f"hostile {HOSTILE}") == HOSTILE
    one.page.check("#probabilities")
    assert one.ask("hostile") == HOSTILE
    one.page.hover(".tokens .token")
    one.page.fill("#system", HOSTILE)
    one.page.reload()
    until(lambda: len(one.texts()) == 4)
    assert one.texts()[3] == HOSTILE
    assert one.page.query_selector_all("#turns img, #turns script, #turns b") == []
    assert one.page.title() == "Kolossos"


def test_code_between_fences_is_set_apart_and_whitespace_stays(visitor, serve) -> None:
    one = visitor().visit(serve().url)
    one.ask("code")
    assert one.text(".turn:last-child pre") == "def twice(x):\n    return 2 * x  # <b>"
    assert [words.text_content() for words in one.page.query_selector_all(".assistant .words")] == [
        "Here it is:\n",
        "and that is all.",
    ]


def test_blocks_of_texts_with_odd_fences(visitor, serve) -> None:
    one = visitor().visit(serve().url)
    script = "async (text) => (await import('/text.js')).blocks(text).map((b) => [b.kind, b.text, b.language])"

    def blocks(text: str) -> list[list[str]]:
        return one.page.evaluate(script, text)

    assert blocks("  a\n\n b ") == [["text", "  a\n\n b ", ""]]
    assert blocks("") == [["text", "", ""]]
    assert blocks("```") == [["code", "", ""]]
    assert blocks("a\n```c++\nx") == [["text", "a", ""], ["code", "x", "c++"]]
    assert blocks("````\n```\nx\n```\n````") == [["code", "```\nx\n```", ""]]
    assert blocks("a ``` b") == [["text", "a ``` b", ""]]
    assert blocks("~~~\nx\n~~~\n```\ny\n```") == [["code", "x", ""], ["code", "y", ""]]


def test_tokens_show_what_else_was_likely_to_the_mouse_and_to_the_keyboard(visitor, serve) -> None:
    server = serve()
    one = visitor().visit(server.url)
    one.page.check("#probabilities")
    one.ask("Hello")
    assert server.script.requests[-1]["logprobs"] is True
    assert server.script.requests[-1]["top_logprobs"] == 5
    tokens = one.page.locator(".tokens .token")
    assert tokens.count() == 24
    one.page.hover(".tokens .token:nth-child(2)")
    until(lambda: one.page.is_visible("#alternatives"))
    assert "99.0 %chosen" in one.text("#alternatives")
    assert "␣perhaps49.2 %" in one.text("#alternatives")
    assert "\\xe2" in one.text("#alternatives")
    assert "<b>" in one.text("#alternatives")
    one.picture("tokens")
    one.page.mouse.move(2, 2)
    until(lambda: not one.page.is_visible("#alternatives"))
    one.page.focus(".tokens .token")
    one.page.keyboard.press("ArrowRight")
    one.page.keyboard.press("ArrowRight")
    until(lambda: one.page.is_visible("#alternatives"))
    place = "() => [...document.activeElement.parentElement.children].indexOf(document.activeElement)"
    assert one.page.evaluate(place) == 2
    one.page.keyboard.press("Escape")
    until(lambda: not one.page.is_visible("#alternatives"))
    one.page.keyboard.press("End")
    assert one.page.evaluate(place) == 23
    one.page.uncheck("#probabilities")
    assert one.page.locator(".tokens:not([hidden])").count() == 0


def test_a_character_of_several_tokens_is_one_place_with_all_of_them(visitor, serve) -> None:
    one = visitor().visit(serve().url)
    one.page.check("#probabilities")
    assert one.ask("emoji") == SPECIAL["emoji"]
    one.page.locator(".token", has_text="🌟").focus()
    until(lambda: one.page.is_visible("#alternatives"))
    assert one.page.locator("#alternatives table").count() > 1


def test_probabilities_come_on_demand_for_an_answer_asked_for_without_them(visitor, serve) -> None:
    server = serve()
    one = visitor().visit(server.url)
    answer = one.ask("Hello")
    one.page.check("#probabilities")
    one.press("Show probabilities")
    until(lambda: one.at_rest() and one.page.is_visible(".assistant .tokens"))
    assert one.texts()[-1] == answer
    assert "the same answer" in one.text(".assistant .verdict")
    server.script.drift = "Now "
    one.page.uncheck("#probabilities")
    other = one.ask("More")
    server.script.drift = "Then "
    one.page.check("#probabilities")
    one.press("Show probabilities")
    until(lambda: one.at_rest() and "another answer" in one.text("#turns"))
    assert one.texts()[-1] == other
    one.press("Next branch")
    assert one.texts()[-1].startswith("Then ")
