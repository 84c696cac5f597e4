"""A fake of providers with formats of their own, Anthropic's and Gemini's, on loopback. It says what it is told to.

The first part of the path names who is asked: `/claudia/messages`, `/geminus/models/M:generateContent`.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from aiohttp import web
from msgspec import Struct

from tests.support.loopback import served_on_loopback

RECORDED = Path(__file__).parents[1] / "fixtures" / "dialects"


def recorded(name: str) -> bytes:
    """What a provider once said, `anthropic/answer.sse`, in our own words."""
    return (RECORDED / name).read_bytes()


class Reply(Struct, frozen=True, kw_only=True):
    """`is_cut`: the connection is lost after the body, which promised to be longer. `is_held`: after the body comes
    what the test puts into the upstream's `chunks`, until None ends it.
    """

    body: bytes
    status: int = 200
    content_type: str = "application/json"
    is_cut: bool = False
    is_held: bool = False
    headers: Mapping[str, str] = {}


def whole(name: str) -> Reply:
    return Reply(body=recorded(f"{name}.json"))


def streamed(name: str, *, is_cut: bool = False, of_it: float = 1.0) -> Reply:
    """`of_it`: the share of its bytes that is sent."""
    body = recorded(f"{name}.sse")
    return Reply(body=body[: int(len(body) * of_it)], content_type="text/event-stream", is_cut=is_cut)


def refusal(status: int, body: object, **headers: str) -> Reply:
    return Reply(body=json.dumps(body).encode(), status=status, headers=headers)


class Asked(Struct, frozen=True):
    path: str
    headers: Mapping[str, str]
    body: dict[str, Any]


class NativeUpstream:
    """`replies`: what each of those who can be asked says, by name, until told otherwise. `asked`: every request.
    `is_left` is set when the caller of a held reply has gone.
    """

    def __init__(self) -> None:
        self.url = ""
        self.reset()

    def reset(self) -> None:
        self.replies: dict[str, Reply] = {}
        self.asked: list[Asked] = []
        self.chunks: asyncio.Queue[bytes | None] = asyncio.Queue()
        self.is_left = asyncio.Event()

    @asynccontextmanager
    async def running(self) -> AsyncIterator["NativeUpstream"]:
        app = web.Application()
        app.router.add_post("/{name}/{path:.*}", self._answer)
        async with served_on_loopback(app) as self.url:
            yield self

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(Asked(request.raw_path, dict(request.headers), json.loads(await request.read())))
        reply = self.replies[request.match_info["name"]]
        if reply.is_held:
            return await self._hold(request, reply)
        if not reply.is_cut:
            return web.Response(
                body=reply.body, status=reply.status, headers={"Content-Type": reply.content_type, **reply.headers}
            )
        promised = {"Content-Length": str(len(reply.body) + 1000), "Content-Type": reply.content_type}
        response = web.StreamResponse(headers=promised)
        await response.prepare(request)
        await response.write(reply.body)
        assert request.transport is not None
        request.transport.close()
        return response

    async def _hold(self, request: web.Request, reply: Reply) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": reply.content_type})
        try:
            await response.prepare(request)
            await response.write(reply.body)
            while (chunk := await self.chunks.get()) is not None:
                await response.write(chunk)
        except asyncio.CancelledError:
            self.is_left.set()
            raise
        return response
