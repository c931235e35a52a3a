"""Responses, embeddings, tokens and models over HTTP."""

import base64
import json

import numpy as np
import pytest
from scripted import saying

ORDER = [
    "response.created",
    "response.in_progress",
    "response.output_item.added",
    "response.content_part.added",
    "response.output_text.delta",
    "response.output_text.done",
    "response.content_part.done",
    "response.output_item.done",
]


@pytest.mark.parametrize(("most", "status"), [(100, "completed"), (3, "incomplete")])
def test_a_streamed_response_tells_its_events_in_the_official_order(start, words, most, status) -> None:
    server = start({"script": saying(words, *"abcdef"), "pause_s": 0.01})
    events = [json.loads(e) for e in server.events("/v1/responses", input="x", max_output_tokens=most)]
    kinds = [event["type"] for event in events]
    assert list(dict.fromkeys(kinds)) == [*ORDER, f"response.{status}"]
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    text = "".join(event["delta"] for event in events if event["type"] == "response.output_text.delta")
    assert text == "abcdef"[:most]
    last = events[-1]["response"]
    assert last["status"] == status
    assert last["output"][0]["content"][0]["text"] == text
    whole = server.post("/v1/responses", input="x", max_output_tokens=most).json()
    assert whole["output"][0]["content"] == last["output"][0]["content"]
    assert whole["incomplete_details"] == (None if status == "completed" else {"reason": "max_output_tokens"})
    for name in ("input_tokens", "output_tokens", "total_tokens"):
        assert whole["usage"][name] == last["usage"][name]


def test_a_response_takes_instructions_and_messages(start, words) -> None:
    server = start()
    items = [
        {"role": "user", "content": [{"type": "input_text", "text": "a"}]},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "b", "annotations": []}]},
        {"role": "user", "content": "c"},
    ]
    answer = server.post("/v1/responses", input=items, instructions="be", max_output_tokens=2)
    assert answer.status_code == 200, answer.text
    turns = [("developer", "be"), ("user", "a"), ("assistant", "b"), ("user", "c")]
    server.post("/v1/chat/completions", messages=[{"role": r, "content": t} for r, t in turns], max_tokens=2)
    first, second = (request.prompt for request in server.engine.asked)
    assert first == second


def test_embeddings_come_as_numbers_and_as_base64_of_the_same(start, words) -> None:
    server = start()
    texts = ["the fox", "quick"]
    plain = server.post("/v1/embeddings", input=texts).json()
    packed = server.post("/v1/embeddings", input=texts, encoding_format="base64").json()
    assert [row["index"] for row in plain["data"]] == [0, 1]
    for row, other in zip(plain["data"], packed["data"], strict=True):
        assert np.frombuffer(base64.b64decode(other["embedding"]), "<f4").tolist() == row["embedding"]
    lengths = [len(words.encode_document(text)) for text in texts]
    assert plain["usage"] == {"prompt_tokens": sum(lengths), "total_tokens": sum(lengths)}
    assert all(request.embed and request.max_tokens == 0 for request in server.engine.asked)
    ids = server.post("/v1/embeddings", input=[words.encode_document(text) for text in texts]).json()
    assert ids["data"] == plain["data"]


def test_tokenize_and_detokenize_are_each_others_reverse_and_give_ids_of_special_tokens(start, words) -> None:
    """As the evaluation harness asks a server for a tokenizer: without a model's name, ids of names of tokens."""
    server = start()
    with server.client() as client:

        def tokenize(prompt: str, **more) -> dict:
            return client.post("/tokenize", json={"prompt": prompt, **more}).json()

        for text in ("the quick 🦊\n", "a<|user|>b", ""):
            body = tokenize(text, add_special_tokens=False, return_token_strs=True)
            assert body["tokens"] == words.encode(text)
            assert body["count"] == len(body["tokens"]) == len(body["token_strs"])
            assert body["max_model_len"] == 256
            back = client.post("/detokenize", json={"tokens": body["tokens"]}).json()
            assert back == {"prompt": text}
            assert tokenize(text)["tokens"] == words.encode_document(text)
        info = client.get("/tokenizer_info").json()
        assert tokenize(info["eos_token"], add_special_tokens=False)["tokens"] == [words.eos_id]
        assert client.post("/detokenize", json={"tokens": [words.eos_id]}).json() == {"prompt": "<|endoftext|>"}
        said = [{"role": "user", "content": "x"}]
        body = client.post("/tokenize", json={"model": "tiny", "messages": said}).json()
        assert server.post("/v1/chat/completions", messages=said, max_tokens=1).status_code == 200
        assert body["tokens"] == list(server.engine.asked[0].prompt)
        assert client.post("/tokenize", json={"model": "x", "prompt": "x"}).status_code == 404
        assert client.post("/detokenize", json={"tokens": [320]}).status_code == 400
        assert client.post("/tokenize", json={"prompt": "x", "messages": said}).status_code == 400


def test_models_are_listed_and_one_is_got_by_its_name(start) -> None:
    with start().client() as client:
        (model,) = client.get("/v1/models").json()["data"]
        assert client.get("/v1/models/tiny").json() == model
        assert (model["id"], model["object"], model["created"]) == ("tiny", "model", 1_700_000_000)
        missing = client.get("/v1/models/other/one")
    assert (missing.status_code, missing.json()["error"]["code"]) == (404, "model_not_found")


def test_the_interface_is_described_and_what_it_describes_is_there(start) -> None:
    with start().client() as client:
        paths = client.get("/openapi.json").json()["paths"]
    assert {"/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/v1/responses", "/tokenize"} <= set(paths)
    body = paths["/v1/chat/completions"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert {"messages", "max_completion_tokens", "logit_bias"} <= set(body["properties"])
