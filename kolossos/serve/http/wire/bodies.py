"""What the bodies of requests may say, a class for each."""

import re
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, StrictBool, StrictInt, StrictStr, model_validator

from kolossos.serve.http.wire.fields import MOST_ANSWERS, MOST_LOGPROBS, Asked, Model, Number, Said, Sampled

MOST_MESSAGES = 10_000
LARGEST_TOKEN = 2**31 - 1

MaxTokens = Annotated[StrictInt, Field(ge=1, le=LARGEST_TOKEN)]
Texts = tuple[str | tuple[int, ...], ...]


def _texts(value: Any) -> Any:
    """A text, texts, token ids or lists of them, as a tuple with one entry a prompt."""
    if isinstance(value, str):
        return (value,)
    if not isinstance(value, list) or not value:
        raise ValueError("expected a text, a list of texts, a list of token ids or a list of such lists, not empty")
    if _are_tokens(value):
        return (tuple(value),)
    if len(value) > MOST_ANSWERS:
        raise ValueError(f"at most {MOST_ANSWERS} prompts, not {len(value):,}")
    if all(isinstance(one, str) for one in value):
        return tuple(value)
    if all(isinstance(one, list) and one and _are_tokens(one) for one in value):
        return tuple(tuple(one) for one in value)
    raise ValueError("expected a text, a list of texts, a list of token ids or a list of such lists, none empty")


def _are_tokens(value: list[Any]) -> bool:
    return all(type(one) is int and 0 <= one <= LARGEST_TOKEN for one in value)


def _many(value: Any) -> Any:
    texts = _texts(value)
    if any(text == "" for text in texts):
        raise ValueError("an empty text has no vector")
    return texts


class CompletionBody(Sampled):
    """/v1/completions."""

    prompt: Annotated[Texts, BeforeValidator(_texts)]
    max_tokens: Annotated[StrictInt, Field(ge=0, le=LARGEST_TOKEN)] = 16
    echo: StrictBool = False
    logprobs: Annotated[StrictInt, Field(ge=0, le=MOST_LOGPROBS)] | None = None
    add_special_tokens: StrictBool = True

    @model_validator(mode="after")
    def _together(self) -> "CompletionBody":
        if self.max_tokens == 0 and not self.echo:
            raise ValueError("max_tokens: 0 only with echo, to have the prompt scored")
        if len(self.prompt) * self.n > MOST_ANSWERS:
            raise ValueError(f"n: {len(self.prompt)} prompts times n are more than {MOST_ANSWERS} answers")
        return self


def _content(value: Any) -> Any:
    """A text, or the text of its parts."""
    if isinstance(value, str):
        return value
    if not isinstance(value, list) or not value:
        raise ValueError("expected a text or a list of text parts")
    texts = []
    for part in value:
        kind = part.get("type") if isinstance(part, dict) else None
        if kind not in ("text", "input_text", "output_text"):
            raise ValueError(f"a part of type {kind!r:.40} is not supported: only text")
        unknown = {name for name, said in part.items() if said not in (None, [])} - {"type", "text"}
        if unknown or not isinstance(part.get("text"), str):
            raise ValueError(f"a text part has type and text, and nothing else{_listed(unknown)}")
        texts.append(part["text"])
    return "".join(texts)


def _listed(names: set[str]) -> str:
    return ": " + ", ".join(f"{name!r:.40}" for name in sorted(names)[:5]) if names else ""


Content = Annotated[StrictStr, BeforeValidator(_content)]
_NOTHING = ("refusal", "tool_calls", "function_call", "audio", "annotations", "name", "reasoning_content", "id")
"""Of a message that an answer gave: fields that may be there, empty."""


class Message(Said):
    """One turn of a conversation."""

    role: Literal["system", "developer", "user", "assistant"]
    content: Content

    @model_validator(mode="before")
    @classmethod
    def _without_what_is_empty(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        return {name: said for name, said in values.items() if not (name in _NOTHING and said in (None, []))}


class JsonSchema(Said):
    """A schema with its name; an answer always keeps to it, ``strict`` or not."""

    name: Annotated[StrictStr, Field(pattern=re.compile(r"^[a-zA-Z0-9_-]{1,64}$"))]
    description: StrictStr = ""
    strict: StrictBool = False
    schema_: Annotated[dict[str, Any] | StrictBool, Field(alias="schema")]


class ResponseFormat(Said):
    """text, json_object, or json_schema with its schema."""

    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchema | None = None

    @model_validator(mode="after")
    def _whole(self) -> "ResponseFormat":
        if (self.type == "json_schema") != (self.json_schema is not None):
            raise ValueError("json_schema: needed with type json_schema, and with no other")
        return self

    @property
    def schema_asked(self) -> Any:
        """The JSON schema that the answer must keep to; None for any text."""
        if self.json_schema is not None:
            return self.json_schema.schema_
        return {"type": "object"} if self.type == "json_object" else None


class ChatBody(Sampled):
    """/v1/chat/completions."""

    messages: Annotated[list[Message], Field(min_length=1, max_length=MOST_MESSAGES)]
    max_tokens: MaxTokens | None = None
    max_completion_tokens: MaxTokens | None = None
    logprobs: StrictBool = False
    top_logprobs: Annotated[StrictInt, Field(ge=0, le=MOST_LOGPROBS)] | None = None
    response_format: ResponseFormat | None = None
    modalities: tuple[Literal["text"]] | None = None

    @model_validator(mode="after")
    def _together(self) -> "ChatBody":
        if self.top_logprobs is not None and not self.logprobs:
            raise ValueError("top_logprobs: only where logprobs is true")
        if None not in (self.max_tokens, self.max_completion_tokens) and self.max_tokens != self.max_completion_tokens:
            raise ValueError("max_tokens: max_completion_tokens says something else")
        return self


class EmbeddingBody(Asked):
    """/v1/embeddings."""

    input: Annotated[Texts, BeforeValidator(_many)]
    encoding_format: Literal["float", "base64"] = "float"


class TextFormat(Said):
    """The same as ResponseFormat, as /v1/responses writes it: the schema's fields beside the type."""

    type: Literal["text", "json_object", "json_schema"]
    name: StrictStr | None = None
    description: StrictStr | None = None
    strict: StrictBool | None = None
    schema_: Annotated[dict[str, Any] | StrictBool | None, Field(alias="schema")] = None

    @model_validator(mode="after")
    def _whole(self) -> "TextFormat":
        if (self.type == "json_schema") != (self.schema_ is not None):
            raise ValueError("schema: needed with type json_schema, and with no other")
        return self

    @property
    def schema_asked(self) -> Any:
        """The JSON schema that the answer must keep to; None for any text."""
        return {"type": "object"} if self.type == "json_object" else self.schema_


class TextOptions(Said):
    """What kind of text."""

    format: TextFormat | None = None


def _items(value: Any) -> Any:
    if isinstance(value, str):
        return [{"role": "user", "content": value}]
    if not isinstance(value, list):
        raise ValueError("expected a text or a list of messages")
    found = []
    for item in value:
        if not isinstance(item, dict) or item.get("type", "message") != "message":
            raise ValueError("only messages are supported as items")
        found.append({name: said for name, said in item.items() if name not in ("type", "id", "status")})
    return found


class ResponseBody(Asked):
    """/v1/responses, text in and text out."""

    input: Annotated[list[Message], BeforeValidator(_items), Field(min_length=1, max_length=MOST_MESSAGES)]
    instructions: StrictStr | None = None
    max_output_tokens: MaxTokens | None = None
    temperature: Annotated[Number, Field(ge=0, le=2)] = 1.0
    top_p: Annotated[Number, Field(gt=0, le=1)] = 1.0
    stream: StrictBool = False
    text: TextOptions | None = None
    metadata: dict[StrictStr, Any] | None = None


class TokenizeBody(Said):
    """/tokenize: a prompt, or messages as the model is given them."""

    model: Model | None = None
    prompt: StrictStr | None = None
    messages: Annotated[list[Message], Field(min_length=1, max_length=MOST_MESSAGES)] | None = None
    add_special_tokens: StrictBool = True
    add_generation_prompt: StrictBool = True
    return_token_strs: StrictBool = False

    @model_validator(mode="after")
    def _one_of_both(self) -> "TokenizeBody":
        if (self.prompt is None) == (self.messages is None):
            raise ValueError("prompt: needed, or messages, and not both")
        return self


class DetokenizeBody(Said):
    """/detokenize."""

    model: Model | None = None
    tokens: Annotated[list[Annotated[StrictInt, Field(ge=0, le=LARGEST_TOKEN)]], Field(max_length=400_000)]
