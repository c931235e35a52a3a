"""Twenty valid calls of the openai client, each with what the answer must be. `openai_valid.py BASE MODEL [KEY]`"""

import json
import sys
from collections.abc import Callable
from typing import Any

import openai  # pyright: ignore[reportMissingImports]
import pydantic
from tally import Tally, check

CHAT: Any = [{"role": "user", "content": "Name a colour."}]
TEXT = "The sea is"
COLOURS = {
    "type": "object",
    "properties": {"n": {"type": "integer"}, "ok": {"type": "boolean"}},
    "required": ["n", "ok"],
    "additionalProperties": False,
}


class Flag(pydantic.BaseModel):
    ok: bool


class Calls:
    def __init__(self, base: str, model: str, key: str) -> None:
        self.client = openai.OpenAI(base_url=base, api_key=key, max_retries=0, timeout=120)
        self.model = model

    def chat(self, **options):
        given = {"messages": CHAT, "temperature": 0, "max_tokens": 8} | options
        return self.client.chat.completions.create(model=self.model, **given)

    def complete(self, **options):
        given = {"prompt": TEXT, "temperature": 0, "max_tokens": 6} | options
        return self.client.completions.create(model=self.model, **given)

    def models_list(self):
        return check(listed=self.model in [entry.id for entry in self.client.models.list()])

    def models_retrieve(self):
        return check(id=self.client.models.retrieve(self.model).id == self.model)

    def plain_chat(self):
        answer = self.chat()
        usage, choice = answer.usage, answer.choices[0]
        return check(
            sum=usage.total_tokens == usage.prompt_tokens + usage.completion_tokens,
            within=usage.completion_tokens <= 8,
            reason=choice.finish_reason in ("stop", "length"),
            role=choice.message.role == "assistant",
        )

    def max_completion_tokens(self):
        answer = self.chat(max_completion_tokens=3, max_tokens=openai.NOT_GIVEN, logit_bias=self.without_end())
        return check(three=answer.usage.completion_tokens == 3, length=answer.choices[0].finish_reason == "length")

    def without_end(self) -> dict[str, int]:
        """A bias that keeps most end tokens out: they have low ids or are rare; 0 to 9 are forbidden."""
        return {str(i): -100 for i in range(10)}

    def stream_with_usage(self):
        plain = self.chat()
        chunks = list(self.chat(stream=True, stream_options={"include_usage": True}))
        pieces = [c.choices[0].delta for c in chunks if c.choices]
        usages = [c for c in chunks if c.usage]
        return check(
            role_once=[p.role for p in pieces if p.role] == ["assistant"],
            text="".join(p.content or "" for p in pieces) == plain.choices[0].message.content,
            one_usage=len(usages) == 1 and usages[0] is chunks[-1] and usages[0].choices == [],
            same_usage=usages and usages[-1].usage.total_tokens == plain.usage.total_tokens,
        )

    def two_samples(self):
        def ask():
            return [c.message.content for c in self.chat(n=2, seed=7, temperature=1.0, max_tokens=12).choices]

        first, again = ask(), ask()
        return check(two=len(first) == 2, differ=first[0] != first[1], repeat=first == again)

    def chat_logprobs(self):
        entries = self.chat(logprobs=True, top_logprobs=3, max_tokens=4).choices[0].logprobs.content
        return check(
            some=1 <= len(entries) <= 4,
            three=all(len(e.top_logprobs) == 3 for e in entries),
            greedy=all(e.logprob <= 0 and abs(e.top_logprobs[0].logprob - e.logprob) < 1e-6 for e in entries),
            bytes=all(e.bytes is not None for e in entries),
        )

    def content_parts(self):
        parts = [{"type": "text", "text": "Name a "}, {"type": "text", "text": "colour."}]
        answer = self.chat(messages=[{"role": "user", "content": parts}])
        return check(answered=answer.usage.prompt_tokens >= 2, choices=len(answer.choices) == 1)

    def json_schema(self):
        wanted = {"type": "json_schema", "json_schema": {"name": "colours", "strict": True, "schema": COLOURS}}
        choice = self.chat(max_tokens=200, response_format=wanted).choices[0]
        if choice.finish_reason == "length":
            return check(opens=choice.message.content.lstrip()[:1] == "{")
        values = json.loads(choice.message.content)
        return check(keys=set(values) == {"n", "ok"}, whole=isinstance(values["n"], int))

    def json_object(self):
        choice = self.chat(max_tokens=200, response_format={"type": "json_object"}).choices[0]
        if choice.finish_reason == "length":
            return check(opens=choice.message.content.lstrip()[:1] == "{")
        return check(object=isinstance(json.loads(choice.message.content), dict))

    def parse(self):
        answer = self.client.chat.completions.parse(
            model=self.model, messages=CHAT, temperature=0, max_tokens=60, response_format=Flag
        )
        return check(parsed=isinstance(answer.choices[0].message.parsed, Flag))

    def stream_helper(self):
        with self.client.chat.completions.stream(
            model=self.model, messages=CHAT, temperature=0, max_tokens=8
        ) as stream:
            for _ in stream:
                pass
            try:
                final = stream.get_final_completion()
            except openai.LengthFinishReasonError as error:  # the client's word for every answer cut by max_tokens
                final = error.completion
        return check(same=final.choices[0].message.content == self.chat().choices[0].message.content)

    def logit_bias(self):
        free = self.complete(logprobs=1, max_tokens=1)
        forced = self.complete(logit_bias={"100": 100}, max_tokens=3, logprobs=1).choices[0].logprobs.tokens
        return check(one_token=len(set(forced)) == 1 and len(forced) == 3, other=free.choices[0].text is not None)

    def prompt_list(self):
        answer = self.complete(prompt=[TEXT, "A tree has"])
        alone = self.complete(prompt="A tree has").choices[0].text
        texts = {choice.index: choice.text for choice in answer.choices}
        return check(two=sorted(texts) == [0, 1], same=texts.get(1) == alone)

    def token_ids(self):
        answer = self.complete(prompt=[70, 71, 72, 73])
        return check(prompt=answer.usage.prompt_tokens == 4, written=answer.usage.completion_tokens >= 1)

    def echo_only(self):
        choice = self.complete(max_tokens=0, echo=True, logprobs=1).choices[0]
        return self.echoed(choice, more=0)

    def echo_and_write(self):
        return self.echoed(self.complete(max_tokens=1, echo=True, logprobs=1).choices[0], more=1)

    def echoed(self, choice, more: int):
        scored = choice.logprobs.token_logprobs
        return check(
            text=choice.text.startswith(TEXT),
            first=scored[0] is None or len(choice.logprobs.tokens) > 1,
            rest=all(value is not None and value <= 0 for value in scored[1:]),
            one_each=len(scored) == len(choice.logprobs.tokens) > more,
        )

    def stop(self):
        whole = self.complete(max_tokens=24).choices[0].text
        mark = whole[len(whole) // 2 :][:2]
        answer = self.complete(max_tokens=24, stop=[mark, "\u2603", "\u2604", "\u2605"]).choices[0]
        return check(cut=answer.text == whole[: whole.index(mark)], reason=answer.finish_reason == "stop")

    def embeddings(self):
        found = self.client.embeddings.create(model=self.model, input=["one", "two words"]).data
        return check(
            two=[e.index for e in found] == [0, 1], wide=len(found[0].embedding) == len(found[1].embedding) > 8
        )

    def responses(self):
        answer = self.client.responses.create(
            model=self.model, input="Name a colour.", max_output_tokens=16, temperature=0
        )
        used = answer.usage.output_tokens if answer.usage else 0
        return check(text=isinstance(answer.output_text, str), written=1 <= used <= 16)


VALID: list[tuple[str, Callable[[Calls], object]]] = [
    ("models.list", Calls.models_list),
    ("models.retrieve", Calls.models_retrieve),
    ("chat", Calls.plain_chat),
    ("chat, max_completion_tokens", Calls.max_completion_tokens),
    ("chat, a stream with its usage", Calls.stream_with_usage),
    ("chat, n = 2 and a seed, asked twice", Calls.two_samples),
    ("chat, log-probabilities", Calls.chat_logprobs),
    ("chat, content in parts", Calls.content_parts),
    ("chat, json_schema", Calls.json_schema),
    ("chat, json_object", Calls.json_object),
    ("chat.completions.parse", Calls.parse),
    ("chat.completions.stream", Calls.stream_helper),
    ("completions, logit_bias", Calls.logit_bias),
    ("completions, two prompts", Calls.prompt_list),
    ("completions, token ids", Calls.token_ids),
    ("completions, echo and log-probabilities, max_tokens 0", Calls.echo_only),
    ("completions, echo and log-probabilities, max_tokens 1", Calls.echo_and_write),
    ("completions, four stop texts", Calls.stop),
    ("embeddings", Calls.embeddings),
    ("responses", Calls.responses),
]


def main() -> int:
    base, model, key = (*sys.argv[1:4], "x")[:3]
    calls, tally = Calls(base, model, key), Tally("openai, valid")
    for what, work in VALID:
        tally.call(what, lambda work=work: work(calls))
    return tally.close()


if __name__ == "__main__":
    sys.exit(main())
