"""Ten calls that no server may answer: each a 4xx with an error object. `openai_invalid.py BASE MODEL [KEY]`"""

import sys

import openai  # pyright: ignore[reportMissingImports]
from tally import Tally, check

CHAT = [{"role": "user", "content": "Name a colour."}]
BAD_SCHEMA = {"type": "object", "properties": {"a": "no schema"}}
INVALID = {
    "an unknown model": {"model": "no-such-model"},
    "temperature 3": {"temperature": 3},
    "n = 0": {"n": 0},
    "max_tokens -1": {"max_tokens": -1},
    "no messages": {"messages": []},
    "a prompt beyond every context": {"messages": [{"role": "user", "content": "word " * 60_000}]},
    "an unknown role": {"messages": [{"role": "wizard", "content": "a"}]},
    "five stop texts": {"stop": ["a", "b", "c", "d", "e"]},
    "top_logprobs 100": {"logprobs": True, "top_logprobs": 100},
    "no JSON schema": {"response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": BAD_SCHEMA}}},
}


def main() -> int:
    base, model, key = (*sys.argv[1:4], "x")[:3]
    client, tally = openai.OpenAI(base_url=base, api_key=key, max_retries=0, timeout=120), Tally("openai, invalid")

    def refused(options: dict):
        given = {"model": model, "messages": CHAT, "max_tokens": 4} | options
        try:
            answer = client.chat.completions.create(**given)
        except openai.APIStatusError as error:
            body = error.body if isinstance(error.body, dict) else {}
            return check(
                status_4xx=400 <= error.status_code < 500,
                message=isinstance(body.get("message"), str),
                kind=isinstance(body.get("type"), str),
            )
        return f"answered: {answer.choices}"

    for what, options in INVALID.items():
        tally.call(what, lambda options=options: refused(options))
    return tally.close()


if __name__ == "__main__":
    sys.exit(main())
