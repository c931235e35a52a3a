"""What a field may say, where several bodies have it: a type that refuses in one line, and lists of names."""

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StrictBool, StrictInt, StrictStr, model_validator

from kolossos.serve.http.wire.refusals import invalid

MOST_ANSWERS = 128
"""Prompts times ``n`` of one request."""
MOST_STOPS, LONGEST_STOP = 4, 1_000
MOST_BIASES = 1_000
MOST_LOGPROBS = 20
LARGEST_SEED = 2**63

HARMLESS: dict[str, Any] = {
    "user": str,
    "metadata": dict,
    "safety_identifier": str,
    "prompt_cache_key": str,
    "store": (False,),
    "service_tier": ("auto", "default"),
    "parallel_tool_calls": bool,
    "background": (False,),
    "truncation": ("disabled",),
}
"""Fields that may be said because leaving them out changes nothing here: of which type, or which values."""

Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Model = Annotated[StrictStr, Field(max_length=500)]


class Said(BaseModel):
    """A body or a part of one. A field that is null is not there; one that is not known is an error."""

    model_config = ConfigDict(extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        known = {field.alias or name for name, field in cls.model_fields.items()}
        return {name: value for name, value in values.items() if value is not None or name not in known}


class Asked(Said):
    """A body that names the model."""

    model: Model

    @classmethod
    def sift(cls, values: dict[str, Any]) -> dict[str, Any]:
        """``values`` without what is harmless; Refusal 400 that names what is known, but not done here."""
        kept = {}
        for name, value in values.items():
            if name in cls.model_fields or name not in {*HARMLESS, *REFUSED}:
                kept[name] = value
            elif value is None or (name in EMPTY_IS_NOTHING and value in ([], "none")):
                continue
            elif name in REFUSED:
                raise invalid(name, REFUSED[name], "unsupported_parameter")
            elif not _is_harmless(value, HARMLESS[name]):
                raise invalid(name, f"{value!r:.60} is not supported", "unsupported_value")
        return kept


def _is_harmless(value: Any, right: Any) -> bool:
    return isinstance(value, right) if isinstance(right, type) else value in right


_NO_TOOLS = "tools are not supported: no model here can call them"
REFUSED = {
    "tools": _NO_TOOLS,
    "tool_choice": _NO_TOOLS,
    "functions": _NO_TOOLS,
    "function_call": _NO_TOOLS,
    "best_of": "not supported: ask for n and choose",
    "suffix": "not supported: no model here writes between two texts",
    "audio": "not supported: text only",
    "modalities": "not supported: text only",
    "prediction": "not supported",
    "reasoning_effort": "not supported: no model here reasons apart from its answer",
    "verbosity": "not supported",
    "web_search_options": "not supported",
    "dimensions": "not supported: a vector has the length that the model gives",
    "previous_response_id": "not supported: nothing is stored; send the whole conversation",
    "conversation": "not supported: nothing is stored; send the whole conversation",
    "include": "not supported",
    "prompt": "not supported here",
    "reasoning": "not supported: no model here reasons apart from its answer",
    "max_tool_calls": _NO_TOOLS,
    "prompt_cache_retention": "not supported",
}
"""Fields of the interface that are not done here, and what to say of them."""
EMPTY_IS_NOTHING = ("tools", "tool_choice", "functions", "function_call", "include")


def _stops(value: Any) -> Any:
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise ValueError("expected a text or a list of texts")
    if len(texts) > MOST_STOPS:
        raise ValueError(f"at most {MOST_STOPS} stop texts, not {len(texts)}")
    if any(not 1 <= len(text) <= LONGEST_STOP for text in texts):
        raise ValueError(f"a stop text has 1 to {LONGEST_STOP:,} characters")
    return tuple(texts)


def _biases(value: Any) -> Any:
    if not isinstance(value, dict) or len(value) > MOST_BIASES:
        raise ValueError(f"expected an object of at most {MOST_BIASES:,} token ids, each with its bias")
    found = {}
    for token, bias in value.items():
        if not isinstance(token, str) or not token.isascii() or not token.isdigit() or len(token) > 9:
            raise ValueError(f"{token!r:.40} is no token id")
        if isinstance(bias, bool) or not isinstance(bias, int | float) or not -100 <= bias <= 100:
            raise ValueError(f"the bias of token {token} must be a number from -100 to 100")
        found[int(token)] = float("-inf") if bias == -100 else float(bias)
    return found


Stops = Annotated[tuple[str, ...], BeforeValidator(_stops)]
Biases = Annotated[dict[int, float], BeforeValidator(_biases)]


class StreamOptions(Said):
    """What a stream says beside the answer."""

    include_usage: StrictBool = False
    include_obfuscation: StrictBool = False

    @model_validator(mode="after")
    def _plain(self) -> "StreamOptions":
        if self.include_obfuscation:
            raise ValueError("include_obfuscation is not supported")
        return self


class Sampled(Asked):
    """What chat and completions have in common."""

    frequency_penalty: Annotated[Number, Field(ge=-2, le=2)] = 0.0
    presence_penalty: Annotated[Number, Field(ge=-2, le=2)] = 0.0
    logit_bias: Biases = Field(default_factory=dict)
    n: Annotated[StrictInt, Field(ge=1, le=MOST_ANSWERS)] = 1
    seed: Annotated[StrictInt, Field(ge=-LARGEST_SEED, lt=LARGEST_SEED)] | None = None
    stop: Stops = ()
    stream: StrictBool = False
    stream_options: StreamOptions | None = None
    temperature: Annotated[Number, Field(ge=0, le=2)] = 1.0
    top_p: Annotated[Number, Field(gt=0, le=1)] = 1.0
    top_k: Annotated[StrictInt, Field(ge=-1, lt=2**31)] = 0
    min_p: Annotated[Number, Field(ge=0, le=1)] = 0.0
    ignore_eos: StrictBool = False
    return_token_ids: StrictBool = False

    @model_validator(mode="after")
    def _only_of_streams(self) -> "Sampled":
        if self.stream_options is not None and not self.stream:
            raise ValueError("stream_options: only where stream is true")
        return self

    @property
    def tells_usage(self) -> bool:
        """Whether a stream ends with what was used."""
        return self.stream_options is not None and self.stream_options.include_usage
