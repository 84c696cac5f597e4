"""A fake of an OpenAI-compatible provider, on loopback.

The path before /chat/completions, /completions or /embeddings names what it does, itself or by `behaviours`: `/answers`
gives an answer, `/calls` a call of the first tool that it has, `/400` … `/503` an error in OpenAI's form, `/quotes-key`
a 401 that repeats the key it was shown (`/quotes-key-400` a 400), `/held` sends what the test puts into `chunks`,
`/silent` never answers, `/breaks` drops the connection after the headers, `/cut` after the first chunk, `/paused`
streams its first event and the others once the test sets `may_go_on`, and `/waits` does then what its path is to do by
then. Of vectors `/shuffled` gives them in another order, `/short` one less, `/twice` one number twice, and `/no-bad`
none to who asks for that of `bad`. `/429-7` says to come again in 7 seconds, `/no-quota` that the account is used up.
`by_key` goes before: what it does when it is shown that key.
"""

import asyncio
import base64
import json
import struct
import zlib
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web
from msgspec import Struct

from tests.support.loopback import served_on_loopback


class Asked(Struct, frozen=True):
    headers: Mapping[str, str]
    body: dict[str, Any]


def event(content: str) -> bytes:
    choice = {"index": 0, "delta": {"content": content}, "finish_reason": None}
    form = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}
    return b"data: " + json.dumps(form).encode() + b"\n\n"


DONE = b"data: [DONE]\n\n"
USAGE = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
USED = b"data: " + json.dumps({"object": "chat.completion.chunk", "choices": [], "usage": USAGE}).encode() + b"\n\n"


class FakeUpstream:
    """`asked` holds every request. `behaviours`: what other paths do for now.

    `chunks`: what `/held` sends, one by one; None ends its answer. `has_request` is set when a request waits at
    `/held` or `/silent`, `is_left` when its caller has gone.
    """

    def __init__(self) -> None:
        self.url = ""
        self.reset()

    def reset(self) -> None:
        """Forget what was asked, and how to behave."""
        self.behaviours: dict[str, str] = {}
        self.by_key: dict[str, str] = {}
        self.asked: list[Asked] = []
        self.chunks: asyncio.Queue[bytes | None] = asyncio.Queue()
        self.has_request = asyncio.Event()
        self.is_left = asyncio.Event()
        self.may_go_on = asyncio.Event()

    def base_url(self, behaviour: str) -> str:
        return f"{self.url}/{behaviour}"

    @asynccontextmanager
    async def running(self) -> AsyncIterator["FakeUpstream"]:
        app = web.Application()
        app.router.add_post("/{behaviour}/{endpoint:chat/completions|completions|embeddings}", self._chat)
        async with served_on_loopback(app) as self.url:
            yield self

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        body = json.loads(await request.read())
        self.asked.append(Asked(dict(request.headers), body))
        path = request.match_info["behaviour"]
        key = request.headers.get("Authorization", "").removeprefix("Bearer ")
        behaviour = self.by_key.get(key) or self.behaviours.get(path, path)
        if behaviour == "waits":
            self.has_request.set()
            await self.may_go_on.wait()
            behaviour = self.behaviours.get(path, path)
        if behaviour == "no-bad" and "bad" in body["input"]:
            behaviour = "400"
        if (error := _error_of(behaviour, request.headers.get("Authorization"))) is not None:
            return error
        if behaviour in {"breaks", "cut"}:
            return await _break_off(request, b"" if behaviour == "breaks" else event("Hel"))
        if behaviour == "paused":
            return await self._pause(request)
        if behaviour in {"held", "silent"}:
            return await self._hold(request, behaviour)
        if request.match_info["endpoint"] == "embeddings":
            return _embed(body, behaviour)
        answer = _call if behaviour == "calls" else _ANSWERS[request.match_info["endpoint"]]
        return await answer(request, body)

    async def _hold(self, request: web.Request, behaviour: str) -> web.StreamResponse:
        self.has_request.set()
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        try:
            if behaviour == "silent":
                await asyncio.Event().wait()
            await response.prepare(request)
            while (chunk := await self.chunks.get()) is not None:
                await response.write(chunk)
        except asyncio.CancelledError:
            self.is_left.set()
            raise
        return response

    async def _pause(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        await response.write(event("Hel"))
        await self.may_go_on.wait()
        for chunk in (event("lo"), USED, DONE):
            await response.write(chunk)
        return response


async def _answer(request: web.Request, body: Mapping[str, Any]) -> web.StreamResponse:
    if body.get("stream"):
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        wants_usage = (body.get("stream_options") or {}).get("include_usage")
        for chunk in (event("Hel"), event("lo"), *([USED] if wants_usage else []), DONE):
            await response.write(chunk)
        return response
    message = {"role": "assistant", "content": "Hello"}
    return web.json_response(
        {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": 1,
            "model": body["model"],
            "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
            "usage": USAGE,
        }
    )


async def _call(request: web.Request, body: Mapping[str, Any]) -> web.StreamResponse:
    """Of the first tool, with Oslo for its city, until it has said something; then, or without tools, an answer."""
    said: dict[str, Any] = {"content": "Hello"}
    if body.get("tools") and body["messages"][-1]["role"] != "tool":
        function = {"name": body["tools"][0]["function"]["name"], "arguments": '{"city": "Oslo"}'}
        said = {"content": None, "tool_calls": [{"index": 0, "id": "call_1", "type": "function", "function": function}]}
    end = "tool_calls" if "tool_calls" in said else "stop"
    head = {"id": "chatcmpl-1", "created": 1, "model": body["model"]}
    if not body.get("stream"):
        choice = {"index": 0, "message": {"role": "assistant", **said}, "finish_reason": end}
        return web.json_response({**head, "object": "chat.completion", "choices": [choice], "usage": USAGE})
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    for delta, finish in (({"role": "assistant", **said}, None), ({}, end)):
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        form = {**head, "object": "chat.completion.chunk", "choices": [choice]}
        await response.write(b"data: %b\n\n" % json.dumps(form).encode())
    await response.write(USED + DONE)
    return response


async def _break_off(request: web.Request, sent: bytes) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Length": "1000", "Content-Type": "text/event-stream"})
    await response.prepare(request)
    await response.write(sent)
    assert request.transport is not None
    request.transport.close()
    return response


def _error_of(behaviour: str, shown: str | None) -> web.Response | None:
    status, _, wait = behaviour.partition("-")
    if status.isdigit():
        headers = {"Retry-After": wait} if wait else {}
        return _error(int(status), "temperature must be at most 2", headers=headers)
    if behaviour == "no-quota":
        return _error(429, "You exceeded your current quota", code="insufficient_quota")
    if behaviour == "quotes-key":
        return _error(401, f"Incorrect API key provided: {shown}")
    if behaviour == "quotes-key-400":
        return _error(400, f"Bad request with {shown}")
    return None


def _error(
    status: int, message: str, *, code: str | None = None, headers: Mapping[str, str] | None = None
) -> web.Response:
    error = {"message": message, "type": "fake", "param": None, "code": code}
    return web.json_response({"error": error}, status=status, headers=headers)


async def _complete(request: web.Request, body: Mapping[str, Any]) -> web.StreamResponse:
    """A text for each prompt; a stream is that of a chat."""
    if body.get("stream"):
        return await _answer(request, body)
    prompts = body["prompt"] if isinstance(body["prompt"], list) else [body["prompt"]]
    choices = [
        {"index": index, "text": "Hello", "logprobs": None, "finish_reason": "stop"} for index in range(len(prompts))
    ]
    form = {"id": "cmpl-1", "object": "text_completion", "created": 1, "model": body["model"], "choices": choices}
    return web.json_response({**form, "usage": USAGE})


def vector_of(text: object) -> list[float]:
    """Of a text, or its tokens: another one for each, of numbers that 32 bits hold."""
    return [zlib.crc32(json.dumps(text).encode()) % 4096 / 4, 0.5]


def _embed(body: Mapping[str, Any], behaviour: str) -> web.StreamResponse:
    """A vector for each text, and two tokens of each. Without usage where the texts ask for that, and with much beside
    the vector where its text is `large`.
    """
    given = body["input"]
    texts = given if isinstance(given, list) and not isinstance(given[0], int) else [given]
    data: list[dict[str, Any]] = [
        {"object": "embedding", "index": index, "embedding": _written(vector_of(text), body.get("encoding_format"))}
        | ({"note": "x" * 2048} if text == "large" else {})
        for index, text in enumerate(texts)
    ]
    if behaviour == "shuffled":
        data = data[1::2] + data[::-2]
    elif behaviour == "short":
        del data[0]
    elif behaviour == "twice":
        data[-1]["index"] = 0
    tokens = 2 * len(texts)
    usage = {} if "no usage" in texts else {"usage": {"prompt_tokens": tokens, "total_tokens": tokens}}
    return web.json_response({"object": "list", "data": data, "model": body["model"], **usage})


def _written(vector: list[float], form: str | None) -> list[float] | str:
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode() if form == "base64" else vector


_ANSWERS = {"chat/completions": _answer, "completions": _complete}
