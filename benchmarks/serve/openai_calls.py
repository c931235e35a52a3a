"""Twenty valid calls and ten invalid ones by OpenAI's own client: how many a server answers as it should.

    pip install openai
    python benchmarks/serve/openai_calls.py http://127.0.0.1:8000/v1 MODEL [KEY]

Prints a line for each, then both counts; exit code 1 unless all are right. A valid call is right when its answer holds
what was asked for; an invalid one when it is refused with a 4xx and an error object.
"""

import json
import math
import sys
from collections.abc import Callable
from typing import Any

import openai  # pyright: ignore[reportMissingImports]
import pydantic

MESSAGES = [{"role": "user", "content": "Say hi."}]
SCHEMA = {
    "type": "object",
    "properties": {"x": {"type": "integer", "minimum": 0, "maximum": 99}},
    "required": ["x"],
    "additionalProperties": False,
}


class Answer(pydantic.BaseModel):
    """What a parsed answer must be."""

    x: int = pydantic.Field(ge=0, le=99)


class Calls:
    """The valid calls; each method raises, or returns what is printed."""

    def __init__(self, client: Any, model: str) -> None:
        self.client, self.model = client, model

    def chat(self, **options: Any) -> Any:
        """One chat completion."""
        asked = {"model": self.model, "messages": MESSAGES, "max_tokens": 8, "temperature": 0, **options}
        return self.client.chat.completions.create(**asked)

    def text(self, **options: Any) -> Any:
        """One completion."""
        asked = {"model": self.model, "prompt": "The capital of France", "max_tokens": 4, "temperature": 0, **options}
        return self.client.completions.create(**asked)

    def list_models(self) -> Any:
        found = [model.id for model in self.client.models.list()]
        assert self.model in found
        return found

    def retrieve_model(self) -> Any:
        assert self.client.models.retrieve(self.model).id == self.model

    def chat_plain(self) -> Any:
        usage = self.chat().usage
        assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens
        return usage.total_tokens

    def chat_max_completion_tokens(self) -> Any:
        answer = self.chat(max_tokens=openai.omit, max_completion_tokens=3)
        assert answer.usage.completion_tokens <= 3
        return answer.choices[0].finish_reason

    def chat_stream_with_usage(self) -> Any:
        chunks = list(self.chat(stream=True, stream_options={"include_usage": True}))
        assert chunks[0].choices[0].delta.role == "assistant"
        assert [bool(chunk.usage) for chunk in chunks] == [False] * (len(chunks) - 1) + [True]
        assert chunks[-1].choices == []
        text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks[:-1])
        plain = self.chat()
        assert (text, chunks[-1].usage.completion_tokens) == (
            plain.choices[0].message.content,
            plain.usage.completion_tokens,
        )
        return len(chunks)

    def chat_two_answers_of_a_seed(self) -> Any:
        first, again = (self.chat(n=2, seed=1, temperature=1) for _ in range(2))
        said = [[choice.message.content for choice in answer.choices] for answer in (first, again)]
        assert said[0] == said[1]
        assert len(said[0]) == 2
        return said[0]

    def chat_logprobs(self) -> Any:
        entries = self.chat(max_tokens=3, logprobs=True, top_logprobs=2).choices[0].logprobs.content
        assert 1 <= len(entries) <= 3
        assert all(len(entry.top_logprobs) == 2 and entry.logprob <= 0 for entry in entries)
        return entries[0].token

    def chat_content_parts(self) -> Any:
        parts = [{"role": "user", "content": [{"type": "text", "text": "Say "}, {"type": "text", "text": "hi."}]}]
        assert self.chat(messages=parts).choices[0].message.content == self.chat().choices[0].message.content

    def chat_json_schema(self) -> Any:
        form = {"type": "json_schema", "json_schema": {"name": "a", "strict": True, "schema": SCHEMA}}
        content = self.chat(max_tokens=60, response_format=form).choices[0].message.content
        assert 0 <= json.loads(content)["x"] <= 99
        return content

    def chat_json_object(self) -> Any:
        answer = self.chat(max_tokens=60, response_format={"type": "json_object"}).choices[0]
        assert answer.message.content.lstrip().startswith("{")
        assert answer.finish_reason == "length" or isinstance(json.loads(answer.message.content), dict)
        return answer.finish_reason

    def chat_parse(self) -> Any:
        answer = self.client.chat.completions.parse(
            model=self.model, messages=MESSAGES, max_tokens=60, temperature=0, response_format=Answer
        )
        assert isinstance(answer.choices[0].message.parsed, Answer)
        return answer.choices[0].message.parsed

    def chat_stream_helper(self) -> Any:
        with self.client.chat.completions.stream(
            model=self.model, messages=MESSAGES, max_tokens=8, temperature=0
        ) as stream:
            text = "".join(event.delta for event in stream if event.type == "content.delta")
        assert text == self.chat().choices[0].message.content
        return text

    def chat_logit_bias(self) -> Any:
        first = self.text(max_tokens=1, logprobs=1)
        return first.choices[0].text, self.chat(logit_bias={"100": -100}).choices[0].finish_reason

    def completions_list(self) -> Any:
        found = [choice.index for choice in self.text(prompt=["a", "b"]).choices]
        assert found == [0, 1]
        return found

    def completions_token_ids(self) -> Any:
        answer = self.text(prompt=[1, 2, 3])
        assert answer.usage.prompt_tokens == 3
        return answer.choices[0].text

    def completions_echo_scored_only(self) -> Any:
        return self._echo(0)

    def completions_echo_and_a_token(self) -> Any:
        return self._echo(1)

    def _echo(self, max_tokens: int) -> Any:
        answer = self.text(max_tokens=max_tokens, echo=True, logprobs=1)
        scores = answer.choices[0].logprobs.token_logprobs
        assert scores[0] is None
        assert len(scores) == answer.usage.total_tokens
        assert all(math.isfinite(score) for score in scores[1:])
        assert answer.choices[0].text.startswith("The capital of France")
        return len(scores)

    def completions_stop(self) -> Any:
        whole = self.text(max_tokens=24, seed=3, temperature=1).choices[0].text
        stop = whole[len(whole) // 2 :][:2]
        cut = self.text(max_tokens=24, seed=3, temperature=1, stop=[stop, "\0\0", "\0\1", "\0\2"]).choices[0].text
        assert stop not in cut
        assert whole.startswith(cut)
        return cut

    def embeddings(self) -> Any:
        answer = self.client.embeddings.create(model=self.model, input=["hello", "goodbye"])
        first, second = (row.embedding for row in answer.data)
        assert len(first) == len(second) > 0
        assert first != second
        return len(first)

    def responses(self) -> Any:
        return self.client.responses.create(model=self.model, input="hi", max_output_tokens=16).output_text


INVALID: dict[str, dict[str, Any]] = {
    "an unknown model": {"model": "no-such-model"},
    "temperature 3": {"temperature": 3},
    "n 0": {"n": 0},
    "max_tokens -1": {"max_tokens": -1},
    "no messages": {"messages": []},
    "a prompt too long": {"messages": [{"role": "user", "content": "word " * 300_000}]},
    "an unknown role": {"messages": [{"role": "x", "content": "a"}]},
    "five stop texts": {"stop": list("abcde")},
    "top_logprobs 100": {"logprobs": True, "top_logprobs": 100},
    "a schema that is none": {
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "a", "schema": {"type": "object", "properties": {"foo": "bar"}}},
        }
    },
}


def right(name: str, call: Callable[[], Any]) -> bool:
    """Whether a valid call is answered rightly; prints what came."""
    try:
        print(f"ok    {name}: {str(call())[:90]!r}")
    except Exception as error:
        print(f"WRONG {name}: {type(error).__name__} {str(error)[:150]!r}")
        return False
    return True


def refused(name: str, calls: Calls, wrong: dict[str, Any]) -> bool:
    """Whether an invalid call is refused as it should be; prints how."""
    try:
        calls.chat(**wrong)
        print(f"WRONG {name}: answered")
    except openai.APIStatusError as error:
        body = error.body if isinstance(error.body, dict) else {}
        good = 400 <= error.status_code < 500 and isinstance(body.get("message"), str)
        print(f"{'ok   ' if good else 'WRONG'} {name}: {error.status_code} {str(body.get('message'))[:90]!r}")
        return good
    except Exception as error:
        print(f"WRONG {name}: {type(error).__name__} {str(error)[:150]!r}")
    return False


def main() -> None:
    """Run them all."""
    base, model, key = [*sys.argv[1:], "none"][:3]
    calls = Calls(openai.OpenAI(base_url=base, api_key=key, max_retries=0, timeout=300), model)
    kept = ("chat", "text")
    valid = [name for name in vars(Calls) if not name.startswith("_") and name not in kept]
    good = sum(right(name, getattr(calls, name)) for name in valid)
    bad = sum(refused(name, calls, wrong) for name, wrong in INVALID.items())
    print(f"valid calls answered rightly: {good} of {len(valid)}; invalid ones refused: {bad} of {len(INVALID)}")
    sys.exit(0 if (good, bad) == (len(valid), len(INVALID)) else 1)


if __name__ == "__main__":
    main()
