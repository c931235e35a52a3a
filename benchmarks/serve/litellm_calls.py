"""Calls by litellm: plain, streamed with usage, a text completion, and a prompt that is too long.

pip install litellm
python benchmarks/serve/litellm_calls.py http://127.0.0.1:8000/v1 MODEL [KEY]
"""

import os
import sys
from typing import Any

MESSAGES = [{"role": "user", "content": "Say hi."}]


def main() -> None:
    """Run them all; an assertion fails where an answer is not what it should be."""
    os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
    import litellm  # pyright: ignore[reportMissingImports]

    base, model, key = [*sys.argv[1:], "none"][:3]
    litellm.suppress_debug_info = True
    where: dict[str, Any] = {"api_base": base, "api_key": key, "num_retries": 0}
    plain = litellm.completion(model=f"openai/{model}", messages=MESSAGES, max_tokens=8, temperature=0, **where)
    print("completion", repr(plain.choices[0].message.content), plain.usage.total_tokens)
    chunks = list(
        litellm.completion(
            model=f"hosted_vllm/{model}",
            messages=MESSAGES,
            max_tokens=8,
            temperature=0,
            stream=True,
            stream_options={"include_usage": True},
            **where,
        )
    )
    usage = chunks[-1].usage
    print("stream", len(chunks), "chunks; prompt tokens", usage.prompt_tokens)
    assert usage.prompt_tokens == plain.usage.prompt_tokens, "the usage of the stream is not the server's"
    text = litellm.text_completion(
        model=f"text-completion-openai/{model}", prompt="One, two,", max_tokens=6, temperature=0, **where
    )
    print("text completion", repr(text.choices[0].text))
    try:
        litellm.completion(
            model=f"openai/{model}", messages=[{"role": "user", "content": "w " * 300_000}], max_tokens=8, **where
        )
    except litellm.ContextWindowExceededError as error:
        print("too long:", type(error).__name__)
        return
    raise AssertionError("a prompt that is too long was answered")


if __name__ == "__main__":
    main()
