"""What cannot be done is refused, by name, and what runs beside it goes on."""

import json
import math

import pytest

MESSAGES = [{"role": "user", "content": "x"}]
CHAT, TEXT, EMBED, RESPOND = "/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/v1/responses"
RIGHT = {CHAT: {"messages": MESSAGES}, TEXT: {"prompt": "x"}, EMBED: {"input": "x"}, RESPOND: {"input": "x"}}


def schema(value) -> dict:
    return {"response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": value}}}


BAD = [
    (CHAT, {"temperature": 3}, "temperature"),
    (CHAT, {"temperature": "1"}, "temperature"),
    (CHAT, {"temperature": True}, "temperature"),
    (CHAT, {"n": 0}, "n"),
    (CHAT, {"n": 129}, "n"),
    (CHAT, {"n": 1.5}, "n"),
    (CHAT, {"max_tokens": -1}, "max_tokens"),
    (CHAT, {"max_tokens": 0}, "max_tokens"),
    (CHAT, {"max_tokens": 5, "max_completion_tokens": 6}, "max_tokens"),
    (CHAT, {"messages": []}, "messages"),
    (CHAT, {"messages": "hi"}, "messages"),
    (CHAT, {"messages": [{"role": "x", "content": "a"}]}, "messages[0].role"),
    (CHAT, {"messages": [{"role": "tool", "content": "a"}]}, "messages[0].role"),
    (CHAT, {"messages": [{"role": "user"}]}, "messages[0].content"),
    (CHAT, {"messages": [{"role": "user", "content": None}]}, "messages[0].content"),
    (CHAT, {"messages": [{"role": "user", "content": "a", "name": "b"}]}, "messages[0].name"),
    (
        CHAT,
        {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]},
        "messages[0].content",
    ),
    (CHAT, {"stop": list("abcde")}, "stop"),
    (CHAT, {"stop": ""}, "stop"),
    (CHAT, {"stop": ["x" * 1001]}, "stop"),
    (CHAT, {"logprobs": True, "top_logprobs": 100}, "top_logprobs"),
    (CHAT, {"top_logprobs": 2}, "top_logprobs"),
    (CHAT, {"logprobs": 2}, "logprobs"),
    (CHAT, {"logit_bias": {"x": 1}}, "logit_bias"),
    (CHAT, {"logit_bias": {"5": 101}}, "logit_bias"),
    (CHAT, {"logit_bias": {"320": 1}}, "logit_bias"),
    (CHAT, {"seed": 2**63}, "seed"),
    (CHAT, {"top_p": 0}, "top_p"),
    (CHAT, {"min_p": 2}, "min_p"),
    (CHAT, {"presence_penalty": 2.5}, "presence_penalty"),
    (CHAT, {"stream_options": {"include_usage": True}}, "stream_options"),
    (CHAT, {"stream": True, "stream_options": {"other": True}}, "stream_options.other"),
    (CHAT, {"tools": [{"type": "function", "function": {"name": "f"}}]}, "tools"),
    (CHAT, {"tool_choice": "auto"}, "tool_choice"),
    (CHAT, {"functions": [{}]}, "functions"),
    (CHAT, {"modalities": ["audio"]}, "modalities[0]"),
    (CHAT, {"reasoning_effort": "low"}, "reasoning_effort"),
    (CHAT, {"store": True}, "store"),
    (CHAT, {"no_such_field": None}, "no_such_field"),
    (CHAT, {"response_format": {"type": "xml"}}, "response_format.type"),
    (CHAT, {"response_format": {"type": "json_schema"}}, "response_format.json_schema"),
    (CHAT, {"model": None}, "model"),
    (CHAT, {"model": 5}, "model"),
    (TEXT, {"suffix": "x"}, "suffix"),
    (TEXT, {"best_of": 2}, "best_of"),
    (TEXT, {"prompt": []}, "prompt"),
    (TEXT, {"prompt": [[]]}, "prompt"),
    (TEXT, {"prompt": None}, "prompt"),
    (TEXT, {"prompt": [320]}, "prompt"),
    (TEXT, {"prompt": [1, "a"]}, "prompt"),
    (TEXT, {"prompt": ["a"] * 65, "n": 2}, "n"),
    (TEXT, {"prompt": ["a"] * 129}, "prompt"),
    (TEXT, {"max_tokens": 0}, "max_tokens"),
    (TEXT, {"logprobs": 21}, "logprobs"),
    (TEXT, {"logprobs": True}, "logprobs"),
    (TEXT, {"messages": MESSAGES}, "messages"),
    (EMBED, {"dimensions": 8}, "dimensions"),
    (EMBED, {"input": ""}, "input"),
    (EMBED, {"encoding_format": "int8"}, "encoding_format"),
    (RESPOND, {"previous_response_id": "resp_1"}, "previous_response_id"),
    (RESPOND, {"input": [{"type": "function_call_output", "output": "x"}]}, "input"),
    (RESPOND, {"reasoning": {"effort": "low"}}, "reasoning"),
    (RESPOND, {"truncation": "auto"}, "truncation"),
    (RESPOND, {"background": True}, "background"),
]


def test_what_is_wrong_or_not_done_is_a_400_that_names_its_field(start) -> None:
    server = start()
    for path, wrong, param in BAD:
        answer = server.post(path, **{**RIGHT[path], **wrong})
        assert answer.status_code == 400, (wrong, answer.text)
        error = answer.json()["error"]
        assert error["param"] == param, (wrong, error)
        assert error["type"] == "invalid_request_error"
        assert set(error) == {"message", "type", "param", "code"}
        assert "\n" not in error["message"]
        assert "validation error" not in error["message"]
    assert server.engine.asked == []


def test_fields_that_are_null_are_absent_and_harmless_ones_may_be_said(start) -> None:
    server = start()
    nulls = {"stop": None, "n": None, "seed": None, "logit_bias": None, "tools": None, "tool_choice": None}
    nulls |= {"response_format": None, "stream_options": None, "max_completion_tokens": None, "top_logprobs": None}
    harmless = {"user": "me", "metadata": {"a": "b"}, "store": False, "service_tier": "auto", "tools": []}
    assert server.chat(**nulls, max_tokens=1).status_code == 200
    assert server.chat(**harmless, tool_choice="none", max_tokens=1).status_code == 200
    said = {"role": "assistant", "content": "b", "refusal": None, "tool_calls": None, "annotations": []}
    assert server.post(CHAT, messages=[*MESSAGES, said, *MESSAGES], max_tokens=1).status_code == 200


@pytest.mark.parametrize("path", list(RIGHT))
def test_an_unknown_model_is_a_404_in_every_body(start, path) -> None:
    answer = start().post(path, **RIGHT[path], **{"model": "other"})
    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == "model_not_found"
    assert answer.json()["error"]["param"] == "model"


def test_bodies_that_are_no_json_or_too_large_or_deep_are_refused_in_one_line(start) -> None:
    server = start(largest_body=2**20)
    told = {"Content-Type": "application/json"}
    many = b"[" + b"[]," * 100_000 + b"[]]"
    with server.client() as client:
        cases = [
            (client.post(TEXT, content=b"{", headers=told), 400, "no JSON"),
            (client.post(TEXT, content=b"\xff\xfe", headers=told), 400, "no JSON"),
            (client.post(TEXT, content=b'{"temperature": NaN}', headers=told), 400, "no JSON"),
            (client.post(TEXT, content=b'{"prompt": "\\ud800"}', headers=told), 400, "no JSON"),
            (client.post(TEXT, content=b"9" * 100_000, headers=told), 400, "no JSON"),
            (client.post(TEXT, content=b"[" * 100_000, headers=told), 400, "nested"),
            (client.post(TEXT, content=b"[" * 100 + b"]" * 100, headers=told), 400, "nested"),
            (client.post(TEXT, content=many, headers=told), 400, "must be a JSON object"),
            (client.post(TEXT, content=b"[]", headers=told), 400, "must be a JSON object"),
            (client.post(TEXT, content=b"{}", headers={"Content-Type": "text/plain"}), 415, "Content-Type"),
            (client.post(TEXT, content=b" " * (2**20 + 1), headers=told), 413, "1,048,576 bytes"),
            (client.post(TEXT, content=(b" " * 2**16 for _ in range(17)), headers=told), 413, "1,048,576 bytes"),
            (client.get(TEXT), 405, "nothing at GET"),
            (client.post("/nope"), 404, "nothing at POST"),
        ]  # fmt: skip
    for answer, status, expected in cases:
        assert answer.status_code == status, answer.text
        assert expected in answer.json()["error"]["message"]


def test_a_prompt_over_the_context_is_refused_with_its_numbers_and_a_long_answer_is_cut(start, words) -> None:
    server = start()
    for path, body in [(TEXT, {"prompt": "ab " * 200}), (TEXT, {"prompt": [5] * 257}), (TEXT, {"prompt": [5] * 256})]:
        answer = server.post(path, **body, max_tokens=5)
        assert answer.status_code == 400
        assert answer.json()["error"]["code"] == "context_length_exceeded"
        assert "256" in answer.json()["error"]["message"]
    answer = server.chat("word " * 6000)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "context_length_exceeded")
    assert server.engine.asked == []
    cut = server.complete([5] * 250, max_tokens=1000).json()
    assert cut["choices"][0]["finish_reason"] == "length"
    assert cut["usage"]["completion_tokens"] == 6
    assert server.chat().json()["usage"]["total_tokens"] == 256  # without a bound, to the context's end


def test_a_full_queue_is_a_429_that_says_when_to_come_again(start, until) -> None:
    server = start({"most": 0})
    for stream in (False, True):
        answer = server.chat(stream=stream)
        assert answer.status_code == 429
        assert answer.headers["Retry-After"] == "3"
        assert answer.json()["error"]["type"] == "rate_limit_error"


def test_an_engine_that_takes_nothing_more_is_a_503(start) -> None:
    server = start()
    server.engine.closing = True
    for stream in (False, True):
        answer = server.chat(stream=stream)
        assert (answer.status_code, answer.json()["error"]["type"]) == (503, "server_error")


@pytest.mark.parametrize("path", [CHAT, TEXT, RESPOND])
def test_a_fault_before_the_first_chunk_has_its_own_status(start, path) -> None:
    server = start({"fail_after": ("out of memory", 0)})
    for stream in (False, True):
        answer = server.post(path, **RIGHT[path], stream=stream)
        assert answer.status_code == 500
        assert answer.json()["error"]["message"] == "out of memory"


def test_a_fault_after_the_first_chunk_is_an_error_in_the_stream_which_ends(start) -> None:
    server = start({"fail_after": ("out of memory", 2), "pause_s": 0.1})
    for path in (CHAT, TEXT):
        events = server.events(path, **RIGHT[path], max_tokens=9)
        assert json.loads(events[-1])["error"]["message"] == "out of memory"
        assert "[DONE]" not in events
        assert len(events) > 2
    last = json.loads(server.events(RESPOND, **RIGHT[RESPOND])[-1])
    assert (last["type"], last["message"]) == ("error", "out of memory")
    assert server.chat(max_tokens=9).status_code == 500


HOSTILE = [
    {"type": "object", "properties": {"foo": "bar"}},
    {"type": "string", "pattern": "("},
    {"type": "string", "pattern": "\x00("},
    {"$ref": "#"},
    {"$ref": "http://127.0.0.1:9/x"},
    {"$ref": "file:///etc/passwd"},
    {"type": "nope"},
    {"enum": []},
    {"not": {}},
    {"type": "string", "format": "nope"},
    {"type": "string", "description": "x" * 70_000},
    json.loads('{"items":' * 40 + "{}" + "}" * 40),
    {"allOf": [{"type": "string"}, {"type": "integer"}]},
]
BORNE = [{"type": "string", "pattern": "(a{1000}){1000}{1000}"}, {"type": "string", "pattern": "a\x00b"}]


def test_hostile_schemas_are_refused_and_neighbours_live(start) -> None:
    pytest.importorskip("llguidance")
    server = start()
    for wrong in HOSTILE:
        answer = server.chat(**schema(wrong), max_tokens=20)
        assert answer.status_code == 400, (wrong, answer.text)
        assert answer.json()["error"]["param"].startswith("response_format")
    assert server.engine.asked == []
    for heavy in BORNE:
        assert server.chat(**schema(heavy), max_tokens=20).status_code in (200, 500)
    assert server.chat(max_tokens=5).status_code == 200


def test_no_number_is_told_that_json_has_not(start) -> None:
    server = start()
    server.engine._scored = lambda token, k: (
        type(server.engine)._scored(server.engine, token, k).__class__(token, -math.inf, ((5, -math.inf),) * k)
    )
    answer = server.complete(logprobs=1, max_tokens=2)
    assert answer.json()["choices"][0]["logprobs"]["token_logprobs"] == [-9999.0, -9999.0]
