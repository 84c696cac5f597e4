"""A fake provider whose answers differ each time, so that one can tell who got which; on loopback.

Its `behaviour`: "tells" answers "Answer 1 of rocket", "Answer 2 …", one word each `gap` seconds; "waits" does so, once
`may_go` is set, from the third word on; "filters" ends with content_filter, "half-calls" with half of a tool call,
"stops" without the last event, "errs" with an error among its events, "empty" says nothing; "503" and the like are
errors.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

from tests.support.loopback import served_on_loopback

DONE = b"data: [DONE]\n\n"
USAGE = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}


class TellingUpstream:
    """`asked`: the bodies of all requests. `failing`: models that cannot be asked. `words`: what it says instead, if
    anything. `begun` is set with each request, `left` when a caller goes before the end.
    """

    def __init__(self) -> None:
        self.url = ""
        self.behaviour = "tells"
        self.asked: list[dict[str, Any]] = []
        self.gap = 0.0
        self.words = ""
        self.failing: frozenset[str] = frozenset()
        self.may_go = asyncio.Event()
        self.begun = asyncio.Event()
        self.left = asyncio.Event()

    def reset(self) -> None:
        self.behaviour = "tells"
        self.asked.clear()
        self.gap = 0.0
        self.words = ""
        self.failing = frozenset()
        for each in (self.may_go, self.begun, self.left):
            each.clear()

    @asynccontextmanager
    async def running(self) -> AsyncIterator["TellingUpstream"]:
        app = web.Application()
        app.router.add_post("/chat/completions", self._chat)
        async with served_on_loopback(app, backlog=512) as self.url:
            yield self

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        body = json.loads(await request.read())
        self.asked.append(body)
        words = (self.words or f"Answer {len(self.asked)} of rocket").split()
        self.begun.set()
        try:
            return await self._answer(request, body, words)
        except asyncio.CancelledError:
            self.left.set()
            raise

    async def _answer(self, request: web.Request, body: dict[str, Any], words: list[str]) -> web.StreamResponse:
        if self.behaviour.isdigit() or body["model"] in self.failing:
            error = {"message": "no", "type": "fake", "param": None, "code": None}
            return web.json_response({"error": error}, status=int(self.behaviour) if self.behaviour.isdigit() else 500)
        if body.get("stream"):
            return await self._stream(request, body, words)
        if self.behaviour == "waits":
            await self.may_go.wait()
        await asyncio.sleep(self.gap * len(words))
        message: dict[str, Any] = {"role": "assistant", "content": " ".join(words), "refusal": None}
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": self._end()}
        if self.behaviour == "half-calls":
            function = {"name": "f", "arguments": '{"a":'}
            message["tool_calls"] = [{"id": "call_1", "type": "function", "function": function}]
        if self.behaviour == "empty":
            message["content"] = ""
        answer = {"id": "chatcmpl-up", "object": "chat.completion", "created": 1, "model": body["model"]}
        return web.json_response({**answer, "choices": [choice], "usage": USAGE, "system_fingerprint": "fp_1"})

    async def _stream(self, request: web.Request, body: dict[str, Any], words: list[str]) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        head = {"id": f"chatcmpl-{len(self.asked)}", "object": "chat.completion.chunk", "created": 1}
        head |= {"model": body["model"], "system_fingerprint": "fp_1"}

        async def say(delta: dict[str, Any], end: str | None = None, **others: object) -> None:
            choice = {"index": 0, "delta": delta, "finish_reason": end}
            await response.write(b"data: %b\n\n" % json.dumps({**head, "choices": [choice], **others}).encode())

        await say({"role": "assistant", "content": ""})
        for number, word in enumerate(words):
            if number == 2 and self.behaviour == "waits":
                await self.may_go.wait()
            await asyncio.sleep(self.gap)
            if self.behaviour != "empty":
                await say({"content": word if number == 0 else f" {word}"})
        if self.behaviour == "half-calls":
            function = {"name": "f", "arguments": '{"a":'}
            await say({"tool_calls": [{"index": 0, "id": "call_1", "type": "function", "function": function}]})
        if self.behaviour == "errs":
            await response.write(b'data: {"error":{"message":"overloaded"}}\n\n')
        await say({}, self._end())
        if (body.get("stream_options") or {}).get("include_usage"):
            usage = json.dumps({**head, "choices": [], "usage": USAGE}).encode()
            await response.write(b"data: %b\n\n" % usage)
        if self.behaviour != "stops":
            await response.write(DONE)
        return response

    def _end(self) -> str:
        return {"filters": "content_filter", "half-calls": "tool_calls"}.get(self.behaviour, "stop")
