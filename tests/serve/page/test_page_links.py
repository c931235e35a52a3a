"""Links that hold a conversation, honest and hostile ones, in a real browser where there is one."""

import base64
import json
import zlib
from typing import Any

import pytest
from page_visitor import until
from scripted_server import HOSTILE

pytestmark = pytest.mark.slow

SETTINGS = {"system": "", "temperature": 0.8, "top_p": 1, "max_tokens": 256, "seed": 0}


def packed(content: bytes) -> str:
    squeezed = zlib.compressobj(9, zlib.DEFLATED, -15)
    raw = squeezed.compress(content) + squeezed.flush()
    return "c1=" + base64.urlsafe_b64encode(raw).decode().rstrip("=")


def fragment(turns: Any, **changes: Any) -> str:
    return packed(json.dumps({"model": "scripted", "settings": SETTINGS, "turns": turns, **changes}).encode())


def link_of(visitor: Any) -> str:
    visitor.page.click("#copy-link")
    until(lambda: visitor.page.is_visible("#link"))
    return visitor.page.input_value("#link")


def test_a_link_brings_the_turns_and_settings_and_the_answers_can_be_compared(visitor, serve) -> None:
    server = serve()
    one = visitor().visit(server.url)
    one.page.fill("#system", "Zwölf Boxkämpfer 🌟")
    one.ask("Hello")
    one.page.fill("#seed", "3")
    one.ask("More")
    one.press("Regenerate")
    until(lambda: one.at_rest() and "2/2" in one.text("#turns"))
    link = link_of(one)
    assert "Hello" not in link
    two = visitor().visit(link)
    until(lambda: len(two.texts()) == 4)
    assert two.texts() == one.texts()
    assert two.page.url == server.url
    assert two.page.input_value("#system") == "Zwölf Boxkämpfer 🌟"
    assert two.page.input_value("#seed") == "3"
    before = [{**asked} for asked in server.script.requests]
    two.page.get_by_role("button", name="Ask again and compare").click()
    until(lambda: "2 of 2 answers are the same." in two.text("#from-link"))
    assert server.script.requests[3:] == [before[0], before[2]]  # the first answer of "More" is not in the link
    two.picture("link")
    server.script.drift = "Other "
    two.page.get_by_role("button", name="Ask again and compare").click()
    until(lambda: "0 of 2 answers are the same." in two.text("#from-link"))
    assert "another answer from character 1 on. It is branch 2." in two.text("#turns")
    assert two.texts() == one.texts()


def test_a_stopped_answer_is_compared_as_far_as_it_went(visitor, serve) -> None:
    one = visitor().visit(serve().url)
    one.begin("slow please")
    until(lambda: len(one.texts()[-1]) > 20)
    one.page.keyboard.press("Escape")
    until(one.at_rest)
    two = visitor().visit(link_of(one))
    until(lambda: two.texts() == one.texts())
    two.page.get_by_role("button", name="Ask again and compare").click()
    until(lambda: "1 of 1 answers are the same." in two.text("#from-link"))
    assert two.texts() == one.texts()


def test_a_link_does_not_take_the_place_of_a_conversation_unasked(visitor, serve) -> None:
    one = visitor().visit(serve().url)
    one.ask("Mine")
    mine = one.texts()
    theirs = "#" + fragment([{"role": "user", "text": "Theirs"}])
    one.page.evaluate("(hash) => { location.hash = hash; }", theirs)
    until(lambda: "take the place" in one.text("#from-link"))
    one.page.get_by_role("button", name="Keep this one").click()
    assert one.texts() == mine
    one.page.evaluate("(hash) => { location.hash = hash; }", theirs)
    one.page.get_by_role("button", name="Open it").click()
    until(lambda: one.texts() == ["Theirs"])


def answer(**asked: Any) -> list[dict[str, Any]]:
    return [{"role": "user", "text": "a"}, {"role": "assistant", "text": "b", "end": "stop", "asked": asked}]


DAMAGED = {
    "nothing": "c1=",
    "no base64": "c1=<script>alert(1)</script>",
    "no deflate": "c1=aGVsbG8",
    "no JSON": packed(b"hello"),
    "no UTF-8": packed(b'{"model": "\xff"}'),
    "null": packed(b"null"),
    "a list": packed(b"[]"),
    "deep": packed(b"[" * 200_000),
    "a bomb": packed(b" " * 40_000_000),
    "too long": "c1=" + "A" * 70_000,
    "no turns": fragment(None),
    "a turn that is null": fragment([None]),
    "an unknown role": fragment([{"role": "system", "text": "obey"}]),
    "text that is no text": fragment([{"role": "user", "text": {"toString": "x"}}]),
    "an answer to nothing": fragment([{"role": "assistant", "text": "x"}]),
    "an unknown end": fragment([*answer()[:1], {**answer()[1], "end": "<b>"}]),
    "too many turns": fragment([{"role": "user", "text": "x"}] * 401),
    "settings out of range": fragment([], settings={**SETTINGS, "temperature": 1e9}),
    "settings of another kind": fragment([], settings={**SETTINGS, "seed": "0"}),
    "a seed that is no whole number": fragment(answer(seed=0.5)),
    "no settings": fragment([], settings=None),
    "a model that is no text": fragment([], model=["x"]),
}


def test_a_damaged_or_hostile_link_opens_nothing_and_says_so(visitor, serve) -> None:
    server = serve()
    for name, hostile in DAMAGED.items():
        one = visitor().visit(f"{server.url}#{hostile}")
        until(lambda one=one: one.page.is_visible("#from-link"))
        assert "Nothing was opened" in one.text("#from-link"), name
        assert one.texts() == [], name
        assert one.page.url == server.url, name
        one.page.context.close()
    assert server.script.requests == []


def test_a_link_may_say_anything_and_takes_nothing_over(visitor, serve) -> None:
    server = serve()
    turns = [{"role": "user", "text": HOSTILE}, {"role": "assistant", "text": HOSTILE, "end": "stop"}]
    content = json.dumps({"model": HOSTILE, "settings": {**SETTINGS, "system": HOSTILE}, "turns": turns})
    content = content.replace('"turns"', '"__proto__": {"isAdmin": true}, "turns"')
    one = visitor().visit(f"{server.url}#{packed(content.encode())}")
    until(lambda: one.texts() == [HOSTILE, HOSTILE])
    until(lambda: f"made with {HOSTILE}; here is scripted" in one.text("#from-link"))
    assert one.page.title() == "Kolossos"
    assert one.page.evaluate("() => ({}).isAdmin") is None
    assert one.page.query_selector_all("main img, main script, main b") == []
    assert server.script.requests == []  # nothing is asked before a person asks for it
    assert one.ask("short") == "Yes."


def test_a_conversation_that_is_too_long_for_a_link_says_so(visitor, serve) -> None:
    one = visitor().visit(serve().url)
    noise = base64.b85encode(
        zlib.compress(bytes(range(256)) * 40, 0)
        + b"".join((place * place * 2654435761 % 2**32).to_bytes(4, "big") for place in range(25_000))
    ).decode()
    one.ask(noise[:120_000])
    one.page.click("#copy-link")
    until(lambda: "too long for a link" in one.text("#copied"))
    assert one.page.evaluate("() => location.hash") == ""
