"""What an answer says, streamed and whole: text, stop texts, tokens, log-probabilities, usage."""

import json

import pytest
from scripted import saying

from kolossos.data.tokenizer import Tokenizer


def streamed(server, path: str, **body) -> tuple[str, list[dict]]:
    """The joined text of the first choice, and the chunks; the stream must end as it should."""
    events = server.events(path, **body)
    assert events.pop() == "[DONE]"
    chunks = [json.loads(event) for event in events]
    text = ""
    for chunk in chunks:
        for choice in chunk["choices"]:
            if choice["index"] == 0:
                text += choice["text"] if "text" in choice else choice["delta"].get("content", "")
    return text, chunks


CHAT = {"messages": [{"role": "user", "content": "x"}]}


@pytest.mark.parametrize("stop", ["</end>", ["zzz", "</end>"]])
def test_a_stop_text_over_several_tokens_ends_the_answer_and_nothing_of_it_is_streamed(start, words, stop) -> None:
    server = start({"script": saying(words, *"say </e </end> more"), "pause_s": 0.01})
    whole = server.chat(stop=stop, max_tokens=50, logprobs=True, return_token_ids=True).json()["choices"][0]
    assert (whole["message"]["content"], whole["finish_reason"]) == ("say </e ", "stop")
    text, chunks = streamed(server, "/v1/chat/completions", **CHAT, stop=stop, max_tokens=50, logprobs=True)
    assert text == "say </e "
    assert chunks[-1]["choices"][0]["finish_reason"] == "stop"
    told = [e for c in chunks for e in (c["choices"][0]["logprobs"] or {"content": []})["content"]]
    assert told == whole["logprobs"]["content"]


def test_a_stop_text_cuts_token_ids_and_logprobs_too_and_the_engine_is_told_to_stop(start, words) -> None:
    server = start({"script": saying(words, *("ab" * 3 + "STOP" + "x" * 200)), "pause_s": 0.01})
    choice = server.complete(stop="STOP", max_tokens=200, logprobs=0, return_token_ids=True).json()["choices"][0]
    assert choice["text"] == "ababab"
    assert choice["token_ids"] == [words.encode(c)[0] for c in "ababab"]
    assert [len(choice["logprobs"][name]) for name in ("tokens", "token_logprobs", "top_logprobs")] == [6, 6, 6]
    assert server.engine.cancelled == [0]


def test_a_prefix_of_a_stop_text_that_never_comes_is_told_at_the_end(start, words) -> None:
    server = start({"script": saying(words, *"abc </e")})
    assert server.complete(stop="</end>", max_tokens=50).json()["choices"][0]["text"] == "abc </e"
    assert streamed(server, "/v1/completions", prompt="x", stop="</end>", max_tokens=50)[0] == "abc </e"


def test_an_emoji_over_four_tokens_is_streamed_whole(start, words) -> None:
    assert len(words.encode("🦊")) == 4
    server = start({"script": saying(words, "a 🦊 b é"), "pause_s": 0.005})
    whole = server.chat(max_tokens=50).json()["choices"][0]["message"]["content"]
    text, chunks = streamed(server, "/v1/chat/completions", **CHAT, max_tokens=50)
    assert text == whole == "a 🦊 b é"
    assert not any("\ufffd" in json.dumps(chunk, ensure_ascii=False) for chunk in chunks)


def test_bytes_of_logprobs_are_those_of_the_token_and_join_to_the_text(start, words) -> None:
    server = start({"script": saying(words, "a 🦊 the\n")})
    body = server.chat(max_tokens=50, logprobs=True, top_logprobs=2).json()
    entries = body["choices"][0]["logprobs"]["content"]
    assert len(entries) == body["usage"]["completion_tokens"]
    assert entries[-1]["token"] == "<|endoftext|>"
    assert entries[-1]["bytes"] is None
    assert bytes(byte for entry in entries[:-1] for byte in entry["bytes"]).decode() == "a 🦊 the\n"
    fox = [entry for entry in entries if entry["token"].startswith("bytes:")]
    assert [entry["bytes"] for entry in fox] == [[byte] for byte in "🦊".encode()]
    assert all(len(entry["top_logprobs"]) == 2 for entry in entries)


def test_chat_and_completions_have_each_their_own_shape_of_logprobs(start, words) -> None:
    server = start({"script": saying(words, "the fox")})
    content = server.chat(logprobs=True).json()["choices"][0]["logprobs"]["content"]
    assert set(content[0]) == {"token", "logprob", "bytes", "top_logprobs"}
    assert content[0]["top_logprobs"] == []
    assert server.chat().json()["choices"][0]["logprobs"] is None
    shape = server.complete(logprobs=2).json()["choices"][0]["logprobs"]
    assert set(shape) == {"tokens", "token_logprobs", "top_logprobs", "text_offset"}
    for token, logprob, top in zip(shape["tokens"], shape["token_logprobs"], shape["top_logprobs"], strict=True):
        assert top[token] == logprob  # the token itself is always among them
    text = server.complete(logprobs=2).json()["choices"][0]["text"]
    for token, at in zip(shape["tokens"][:-1], shape["text_offset"], strict=False):
        assert text[at:].startswith(token)


@pytest.mark.parametrize("max_tokens", [0, 1])
@pytest.mark.parametrize("kind", ["text", "tokens"])
def test_echo_with_logprobs_covers_the_prompt_and_its_first_token_has_none(start, words, max_tokens, kind) -> None:
    server = start({"script": saying(words, "x")})
    ids = words.encode_document("the fox")
    prompt = "the fox" if kind == "text" else ids
    answer = server.complete(prompt, echo=True, logprobs=1, max_tokens=max_tokens).json()
    choice = answer["choices"][0]
    assert choice["text"] == "the fox" + "x" * max_tokens
    shape = choice["logprobs"]
    assert shape["token_logprobs"][0] is None
    assert shape["top_logprobs"][0] is None
    assert len(shape["tokens"]) == len(ids) + max_tokens
    assert all(logprob <= 0 for logprob in shape["token_logprobs"][1:])
    assert shape["text_offset"][-1] == len(choice["text"]) - len(shape["tokens"][-1])
    assert answer["usage"]["completion_tokens"] == max_tokens
    events = server.events("/v1/completions", prompt=prompt, echo=True, logprobs=1, max_tokens=max_tokens)
    chunks = [json.loads(event)["choices"][0] for event in events[:-1]]
    for name, values in shape.items():
        assert [v for chunk in chunks if chunk["logprobs"] for v in chunk["logprobs"][name]] == values
    assert "".join(chunk["text"] for chunk in chunks) == choice["text"]


@pytest.mark.parametrize("n", [1, 3])
def test_the_usage_chunk_comes_once_without_choices_and_equals_plain_usage(start, n) -> None:
    server = start()
    asked = {**CHAT, "n": n, "seed": 5, "max_tokens": 6}
    plain = server.post("/v1/chat/completions", **asked).json()["usage"]
    assert plain["completion_tokens"] == 6 * n
    assert plain["total_tokens"] == plain["prompt_tokens"] + plain["completion_tokens"]
    _, chunks = streamed(server, "/v1/chat/completions", **asked, stream_options={"include_usage": True})
    with_usage = [chunk for chunk in chunks if chunk["usage"] is not None]
    assert with_usage == chunks[-1:]
    assert chunks[-1]["choices"] == []
    plain["prompt_tokens_details"]["cached_tokens"] = plain["prompt_tokens"] - 1  # it has been seen by now
    assert chunks[-1]["usage"] == plain
    _, without = streamed(server, "/v1/chat/completions", **asked)
    assert not any("usage" in chunk for chunk in without)


def test_the_end_token_counts_as_a_token_of_the_answer(start, words) -> None:
    server = start({"script": saying(words, *"abc")})
    answer = server.complete(max_tokens=50).json()
    assert answer["usage"]["completion_tokens"] == 4
    assert answer["choices"][0] == {"index": 0, "text": "abc", "logprobs": None, "finish_reason": "stop"}


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
def test_both_names_of_the_longest_answer_are_obeyed(start, name) -> None:
    answer = start().chat(**{name: 5}).json()
    assert answer["usage"]["completion_tokens"] == 5
    assert answer["choices"][0]["finish_reason"] == "length"


def test_n_answers_are_as_many_different_samples_and_their_chunks_interleave(start) -> None:
    server = start({"pause_s": 0.02})
    asked = {**CHAT, "n": 4, "seed": 9, "max_tokens": 12}
    choices = server.post("/v1/chat/completions", **asked).json()["choices"]
    assert [choice["index"] for choice in choices] == [0, 1, 2, 3]
    assert len({choice["message"]["content"] for choice in choices}) == 4
    assert [request.sampling.sample for request in server.engine.asked] == [0, 1, 2, 3]
    _, chunks = streamed(server, "/v1/chat/completions", **asked)
    order = [choice["index"] for chunk in chunks for choice in chunk["choices"]]
    assert order != sorted(order)
    for index in range(4):
        said = [c for chunk in chunks for c in chunk["choices"] if c["index"] == index]
        assert said[0]["delta"] == {"role": "assistant", "content": ""}
        assert [bool(c["finish_reason"]) for c in said] == [False] * (len(said) - 1) + [True]
        assert "".join(c["delta"].get("content", "") for c in said) == choices[index]["message"]["content"]


def test_prompts_times_n_are_choices_in_their_order(start, words) -> None:
    server = start({"script": lambda request: words.encode(str(len(request.prompt)))})
    answer = server.complete([[5], [5, 6], [5, 6, 7]], n=2, max_tokens=9).json()
    assert [choice["text"] for choice in answer["choices"]] == ["1", "1", "2", "2", "3", "3"]
    assert answer["usage"]["prompt_tokens"] == 6


def test_more_prompts_than_the_engine_takes_at_a_time_are_answered_all_the_same(start) -> None:
    server = start({"most": 2})
    assert len(server.complete(["a"] * 20, max_tokens=3).json()["choices"]) == 20


def test_a_seed_reaches_the_engine_and_without_one_answers_differ(start) -> None:
    server = start()
    texts = [
        server.complete(seed=seed, max_tokens=9).json()["choices"][0]["text"] for seed in (1, 1, 2, -3, None, None)
    ]
    assert texts[0] == texts[1]
    assert len(set(texts)) == 5


def test_options_of_sampling_reach_the_engine_as_they_were_said(start) -> None:
    server = start()
    said = {"temperature": 0.5, "top_p": 0.9, "top_k": 7, "min_p": 0.1, "presence_penalty": 1, "frequency_penalty": -1}
    assert server.chat(**said, logit_bias={"100": -100, "7": 2.5}, max_tokens=1).status_code == 200
    sampling = server.engine.asked[0].sampling
    assert {name: getattr(sampling, name) for name in said} == said
    assert sampling.logit_bias == {100: float("-inf"), 7: 2.5}
    server.chat(max_tokens=1, top_k=-1, top_p=None, n=None)
    assert server.engine.asked[1].sampling.top_k is None


def test_every_end_token_of_the_folder_ends_an_answer(start, words: Tokenizer) -> None:
    other = Tokenizer(words._json_text)
    other.stop_ids |= {other.encode("z")[0]}
    server = start({"script": saying(other, *"abz")}, tokenizer=other)
    choice = server.complete(max_tokens=50).json()["choices"][0]
    assert (choice["text"], choice["finish_reason"]) == ("ab", "stop")
    assert server.complete(max_tokens=3, ignore_eos=True).json()["choices"][0]["text"] == "abz"


def test_a_conversation_of_a_kolossos_chat_has_its_markers_once(start, words) -> None:
    server = start()
    turns = [("system", "be"), ("user", "a<|user|>"), ("assistant", "b"), ("user", "c")]
    server.post("/v1/chat/completions", messages=[{"role": r, "content": t} for r, t in turns], max_tokens=1)
    mark = words.special_id
    expected = [mark("<|system|>"), *words.encode("be"), mark("<|user|>"), *words.encode("a<|user|>")]
    expected += [mark("<|assistant|>"), *words.encode("b"), words.eos_id, mark("<|user|>"), *words.encode("c")]
    assert list(server.engine.asked[0].prompt) == [*expected, mark("<|assistant|>")]


def test_a_base_model_continues_the_plain_text_and_text_parts_are_joined(start, words) -> None:
    server = start(trained=False)
    parts = [{"type": "text", "text": "th"}, {"type": "text", "text": "ree"}]
    turns = [("user", "one"), ("assistant", " two"), ("user", parts)]
    server.post("/v1/chat/completions", messages=[{"role": r, "content": t} for r, t in turns], max_tokens=1)
    assert list(server.engine.asked[0].prompt) == words.encode_document("one two\nthree")
