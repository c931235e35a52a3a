"""/v1/embeddings: a vector for each text."""

import base64
from typing import Any

import numpy as np
from starlette.responses import Response

from kolossos.serve.http.service import Answers, Service, gather
from kolossos.serve.http.wire.answering import Whole
from kolossos.serve.http.wire.bodies import EmbeddingBody
from kolossos.serve.http.wire.refusals import failed


async def embed(service: Service, body: EmbeddingBody) -> Response:
    """The answer to ``body``; Refusal for what cannot be done."""
    service.require_model(body.model)
    prompts = await service.prompts.given(body.input, "input")
    requests = [service.score(prompt, embed=True) for prompt in prompts]

    async def whole() -> dict[str, Any]:
        found = await gather(Answers(service, requests, param="input"))
        vectors = [one.embedding for one in found]
        if any(vector is None for vector in vectors):
            raise failed("the engine gave no vector")
        tokens = sum(len(prompt) for prompt in prompts)
        return {
            "object": "list",
            "model": service.served.name,
            "data": [
                {"object": "embedding", "index": i, "embedding": _written(vector or (), body.encoding_format)}
                for i, vector in enumerate(vectors)
            ],
            "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
        }

    return Whole(whole)


def _written(vector: tuple[float, ...], encoding: str) -> list[float] | str:
    """As numbers, or as base64 of 32-bit floats, little end first."""
    if encoding == "float":
        return [float(value) for value in vector]
    return base64.b64encode(np.asarray(vector, dtype="<f4").tobytes()).decode()
