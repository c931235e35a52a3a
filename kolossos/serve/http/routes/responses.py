"""/v1/responses: the newer interface of the same clients, text in and text out. Nothing is stored."""

import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from starlette.responses import Response

from kolossos.serve.engine.request import Request, Sampling
from kolossos.serve.http.service import Answers, Service, gather, new_id
from kolossos.serve.http.wire.answering import Stream, Whole, encoded
from kolossos.serve.http.wire.bodies import Message, ResponseBody
from kolossos.serve.http.wire.fields import Sampled
from kolossos.serve.http.wire.refusals import Refusal


async def respond(service: Service, body: ResponseBody) -> Response:
    """The answer to ``body``; Refusal for what cannot be done."""
    service.require_model(body.model)
    messages = [Message(role="system", content=body.instructions)] if body.instructions else []
    prompt = await service.prompts.chat([*messages, *body.input], "input")
    form = body.text.format if body.text else None
    (grammar,) = await service.grammar(form.schema_asked if form else None, "text.format")
    sampled = Sampled(model=body.model, temperature=body.temperature, top_p=body.top_p)
    (chosen,) = service.sampling(sampled)
    room = service.prompts.room(prompt, body.max_output_tokens, "input")
    request = Request(prompt, room, chosen, service.end_tokens(), grammar=grammar)
    work = _Response(service, body, request, chosen)
    return Stream(work.events(), work.error) if body.stream else Whole(work.whole)


class _Response:
    """One response, and the events that tell of it in their order."""

    def __init__(self, service: Service, body: ResponseBody, request: Request, chosen: Sampling) -> None:
        self._answers = Answers(service, [request], param="input")
        self._body, self._item, self._number = body, new_id("msg_"), 0
        form = body.text.format.model_dump(by_alias=True, exclude_none=True) if body.text and body.text.format else None
        self._head: dict[str, Any] = {
            "id": new_id("resp_"),
            "object": "response",
            "created_at": int(time.time()),
            "model": service.served.name,
            "background": False,
            "error": None,
            "incomplete_details": None,
            "instructions": body.instructions,
            "max_output_tokens": body.max_output_tokens,
            "metadata": body.metadata or {},
            "parallel_tool_calls": False,
            "previous_response_id": None,
            "reasoning": {"effort": None, "summary": None},
            "service_tier": "default",
            "store": False,
            "temperature": chosen.temperature,
            "text": {"format": form or {"type": "text"}},
            "tool_choice": "none",
            "tools": [],
            "top_p": chosen.top_p,
            "truncation": "disabled",
        }

    async def whole(self) -> dict[str, Any]:
        (found,) = await gather(self._answers)
        return self._ended(found.text, found.finish)

    async def events(self) -> AsyncGenerator[str, None]:
        text, finish = "", None
        place = {"item_id": self._item, "output_index": 0, "content_index": 0}
        async with aclosing(self._answers.pieces()) as pieces:
            async for batch in pieces:
                said = ""
                for _, piece in batch:
                    said += self._begun() if piece.started is not None else ""
                    if piece.text:
                        said += self._event("response.output_text.delta", **place, delta=piece.text, logprobs=[])
                    text, finish = text + piece.text, piece.finish or finish
                if said:
                    yield said
        item = self._message(text, finish)
        yield (
            self._event("response.output_text.done", **place, text=text, logprobs=[])
            + self._event("response.content_part.done", **place, part=_part(text))
            + self._event("response.output_item.done", output_index=0, item=item)
            + self._event(f"response.{_status(finish)}", response=self._ended(text, finish))
        )

    def error(self, refusal: Refusal) -> str:
        """How a stream says that it fails."""
        said = refusal.body()["error"]
        fields = {"code": said["code"] or said["type"], "message": said["message"], "param": said["param"]}
        return self._event("error", **fields)

    def _begun(self) -> str:
        running = {**self._head, "status": "in_progress", "output": [], "usage": None}
        item = {"id": self._item, "type": "message", "role": "assistant", "status": "in_progress", "content": []}
        place = {"item_id": self._item, "output_index": 0, "content_index": 0}
        return (
            self._event("response.created", response=running)
            + self._event("response.in_progress", response=running)
            + self._event("response.output_item.added", output_index=0, item=item)
            + self._event("response.content_part.added", **place, part=_part(""))
        )

    def _event(self, kind: str, **values: Any) -> str:
        event = {"type": kind, "sequence_number": self._number, **values}
        self._number += 1
        return f"event: {kind}\ndata: {encoded(event)}\n\n"

    def _message(self, text: str, finish: str | None) -> dict[str, Any]:
        status = _status(finish)
        return {"id": self._item, "type": "message", "role": "assistant", "status": status, "content": [_part(text)]}

    def _ended(self, text: str, finish: str | None) -> dict[str, Any]:
        used, status = self._answers.usage(1), _status(finish)
        usage = {
            "input_tokens": used["prompt_tokens"],
            "input_tokens_details": used["prompt_tokens_details"],
            "output_tokens": used["completion_tokens"],
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": used["total_tokens"],
        }
        why = {"reason": "max_output_tokens"} if status == "incomplete" else None
        done = {"status": status, "incomplete_details": why, "output": [self._message(text, finish)], "usage": usage}
        return self._head | done


def _status(finish: str | None) -> str:
    return "incomplete" if finish == "length" else "completed"


def _part(text: str) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
