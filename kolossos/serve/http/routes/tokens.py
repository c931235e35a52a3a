"""/tokenize, /detokenize and /tokenizer_info, in the shapes of vLLM, which evaluation over HTTP reads."""

from typing import Any

from kolossos.serve.http.logprobs import token_text
from kolossos.serve.http.service import Service
from kolossos.serve.http.wire.bodies import DetokenizeBody, TokenizeBody
from kolossos.serve.http.wire.refusals import invalid


async def tokenize(service: Service, body: TokenizeBody) -> dict[str, Any]:
    """Token ids of a prompt or of messages.

    A prompt that is nothing but the name of a special token is that token: so clients ask for its id. Within a text
    such a name is text, as everywhere.
    """
    service.require_model(body.model)
    tokenizer = service.served.tokenizer
    if body.messages is not None:
        ids = await service.prompts.chat(body.messages, ask=body.add_generation_prompt)
    elif body.prompt in tokenizer.special_tokens:
        ids = (tokenizer.special_tokens[body.prompt],)
    elif body.prompt or (body.add_special_tokens and tokenizer.begin_ids):
        (ids,) = await service.prompts.given([body.prompt or ""], "prompt", body.add_special_tokens)
    else:
        ids = ()
    names = [token_text(tokenizer, token) for token in ids] if body.return_token_strs else None
    return {"count": len(ids), "max_model_len": service.engine.context, "tokens": list(ids), "token_strs": names}


def detokenize(service: Service, body: DetokenizeBody) -> dict[str, Any]:
    """The text of token ids, with the names of special ones."""
    service.require_model(body.model)
    if wrong := next((i for i in body.tokens if i >= service.engine.vocab_size), None):
        raise invalid("tokens", f"{wrong} is no token of this model, which has {service.engine.vocab_size:,}")
    return {"prompt": service.served.tokenizer.decode(body.tokens, keep_special=True)}


def tokenizer_info(service: Service) -> dict[str, Any]:
    """What a client must know to do without a copy of the tokenizer."""
    tokenizer = service.served.tokenizer
    names = {i: name for name, i in tokenizer.special_tokens.items()}
    begin = tokenizer.begin_ids[0] if tokenizer.begin_ids else None
    return {
        "tokenizer_class": "Kolossos",
        "bos_token": None if begin is None else names.get(begin),
        "eos_token": tokenizer.end_token,
        "pad_token": None,
        "unk_token": None,
        "vocab_size": tokenizer.vocab_size,
        "model_max_length": service.engine.context,
        "add_bos_token": begin is not None,
        "stop_token_ids": sorted(tokenizer.stop_ids),
        "special_tokens": tokenizer.special_tokens,
        "chat_template": service.served.chat.source,
    }
