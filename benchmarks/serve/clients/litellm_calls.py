"""Calls by litellm under three of its names for a server like OpenAI's. `litellm_calls.py BASE MODEL [KEY]`"""

import os
import sys

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # it would be fetched from elsewhere
import litellm  # pyright: ignore[reportMissingImports]
from tally import Tally, check

CHAT = [{"role": "user", "content": "Name a colour."}]


class Calls:
    def __init__(self, base: str, model: str, key: str) -> None:
        self.model, self.place = model, {"api_base": base, "api_key": key, "num_retries": 0}

    def chat(self, kind: str, **options):
        given = {"messages": CHAT, "max_tokens": 8, "temperature": 0} | options
        return litellm.completion(model=f"{kind}/{self.model}", **self.place, **given)

    def plain(self, kind: str):
        usage = self.chat(kind).usage
        return check(sum=usage.total_tokens == usage.prompt_tokens + usage.completion_tokens > 0)

    def stream(self, kind: str):
        plain = self.chat(kind)
        chunks = list(self.chat(kind, stream=True, stream_options={"include_usage": True}))
        text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
        usage = [c.usage for c in chunks if getattr(c, "usage", None)]
        return check(
            text=text == plain.choices[0].message.content,
            usage=bool(usage) and usage[-1].prompt_tokens == plain.usage.prompt_tokens,
        )

    def text(self):
        answer = litellm.text_completion(
            model=f"text-completion-openai/{self.model}", prompt="The sea is", max_tokens=6, temperature=0, **self.place
        )
        return check(text=isinstance(answer.choices[0].text, str), usage=answer.usage.completion_tokens <= 6)

    def too_long(self):
        try:
            self.chat("openai", messages=[{"role": "user", "content": "word " * 60_000}])
        except litellm.ContextWindowExceededError:
            return True
        except Exception as error:
            return f"{type(error).__name__}, not ContextWindowExceededError: {error}"
        return "answered"


def main() -> int:
    litellm.suppress_debug_info = True
    base, model, key = (*sys.argv[1:4], "x")[:3]
    calls, tally = Calls(base, model, key), Tally("litellm")
    for kind in ("openai", "hosted_vllm"):
        tally.call(f"{kind}: chat", lambda kind=kind: calls.plain(kind))
        tally.call(f"{kind}: a stream with its usage", lambda kind=kind: calls.stream(kind))
    tally.call("text-completion-openai: completion", calls.text)
    tally.call("openai: a prompt that is too long", calls.too_long)
    return tally.close()


if __name__ == "__main__":
    sys.exit(main())
