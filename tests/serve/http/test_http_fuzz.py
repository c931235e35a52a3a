"""Bodies by chance: whatever is said, the answer is right or a refusal with an error object, and never a fault."""

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scripted import ScriptedEngine
from served_in_thread import Server

from kolossos.data.tokenizer import Tokenizer
from kolossos.serve.http.wire import bodies

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)
texts = st.text(max_size=12)
roles = st.sampled_from(["system", "user", "assistant", "developer", "tool", ""])
messages = st.lists(st.fixed_dictionaries({"role": roles, "content": texts | json_values}), max_size=3)
prompts = texts | st.lists(texts, max_size=3) | st.lists(st.integers(-1, 400), max_size=5) | json_values
FIELDS = {
    "temperature": st.floats(0, 2), "top_p": st.floats(0, 1), "top_k": st.integers(-2, 50), "min_p": st.floats(0, 1),
    "n": st.integers(0, 3), "max_tokens": st.integers(-1, 6), "stop": texts | st.lists(texts, max_size=5),
    "seed": st.integers(), "stream": st.booleans(), "stream_options": json_values, "user": texts,
    "logit_bias": st.dictionaries(st.integers(-1, 400).map(str), st.floats(-100, 100), max_size=3),
    "presence_penalty": st.floats(-3, 3), "frequency_penalty": st.floats(-3, 3), "tools": json_values,
    "logprobs": st.booleans() | st.integers(-1, 22), "top_logprobs": st.integers(-1, 22), "echo": st.booleans(),
    "response_format": json_values | st.fixed_dictionaries({"type": st.just("json_schema"), "json_schema":
        st.fixed_dictionaries({"name": texts, "schema": json_values})}),
    "encoding_format": texts, "instructions": texts, "text": json_values, "return_token_ids": st.booleans(),
    "ignore_eos": st.booleans(), "add_special_tokens": st.booleans(), "best_of": st.integers(), "metadata": json_values,
}  # fmt: skip
PATHS = {
    "/v1/chat/completions": {"messages": messages},
    "/v1/completions": {"prompt": prompts},
    "/v1/embeddings": {"input": prompts},
    "/v1/responses": {"input": messages | texts},
    "/tokenize": {"prompt": prompts, "messages": messages},
    "/detokenize": {"tokens": st.lists(st.integers(-1, 400), max_size=5)},
}

BODIES = {
    "/v1/chat/completions": bodies.ChatBody,
    "/v1/completions": bodies.CompletionBody,
    "/v1/embeddings": bodies.EmbeddingBody,
    "/v1/responses": bodies.ResponseBody,
    "/tokenize": bodies.TokenizeBody,
    "/detokenize": bodies.DetokenizeBody,
}


@pytest.fixture(scope="module")
def server(words: Tokenizer) -> Iterator[Server]:
    pytest.importorskip("httpx")
    made = Server(words, ScriptedEngine(words))
    yield made
    made.stop()


def body_for(path: str) -> st.SearchStrategy[dict]:
    model = {"model": st.just("tiny")}
    some = {name: values | json_values for name, values in FIELDS.items()}
    known = {name: values for name, values in FIELDS.items() if name in BODIES[path].model_fields}
    right = st.fixed_dictionaries({**model, **PATHS[path]}, optional=known)
    wild = st.fixed_dictionaries(model, optional={**PATHS[path], **some, "x": json_values})
    return right | wild


@given(data=st.data(), path=st.sampled_from(list(PATHS)))
@settings(max_examples=80, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
def test_no_body_makes_a_fault(server: Server, data: st.DataObject, path: str) -> None:
    body = data.draw(body_for(path))
    answer = server.post(path, **body)
    assert answer.status_code in (200, 400, 404), (body, answer.text)
    if answer.status_code != 200:
        assert set(answer.json()["error"]) == {"message", "type", "param", "code"}
    elif answer.headers["content-type"].startswith("text/event-stream"):
        assert '"error":{' not in answer.text


@given(path=st.sampled_from(list(PATHS)), raw=st.binary(max_size=60))
@settings(max_examples=40)
def test_no_bytes_make_a_fault(server: Server, path: str, raw: bytes) -> None:
    answer = server._client.post(path, content=raw, headers={"Content-Type": "application/json"})
    assert answer.status_code in (400, 404)
    assert answer.json()["error"]["message"]


def test_after_all_that_nothing_runs_and_the_next_answer_is_right(server: Server, until) -> None:
    until(lambda: not server.engine.running)
    assert server.complete(max_tokens=4).json()["usage"]["completion_tokens"] == 4
