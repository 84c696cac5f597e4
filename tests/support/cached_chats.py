"""Chats with a gateway that keeps answers, and what they came with."""

import asyncio
import json
from typing import Any

import aiohttp
from msgspec import Struct

from gatewayz.responses.events import assembled
from tests.support.gateway import RunningGateway
from tests.support.patience import PATIENCE

MODEL = "acme/rocket-1"


class Said(Struct, frozen=True):
    """`text`: what the answer says, streamed or not. `form`: a whole answer's JSON, or what a stream's events make."""

    status: int
    headers: dict[str, str]
    raw: bytes
    form: dict[str, Any]

    @property
    def text(self) -> str:
        return str(self.form["choices"][0]["message"]["content"])

    @property
    def cache(self) -> str:
        return self.headers["cache-status"].removeprefix("gatewayz; ")

    @property
    def is_hit(self) -> bool:
        return self.headers["x-cache"] == "HIT"


def request(question: str, **fields: object) -> dict[str, Any]:
    return {"model": MODEL, "messages": [{"role": "user", "content": question}], **fields}


class Caller:
    """One key at one gateway."""

    def __init__(self, gateway: RunningGateway, secret: str) -> None:
        self.gateway = gateway
        self.secret = secret

    async def ask(self, question: str, headers: dict[str, str] | None = None, **fields: object) -> Said:
        return await self.send(json.dumps(request(question, **fields)), headers)

    async def send(self, body: str, headers: dict[str, str] | None = None) -> Said:
        url = self.gateway.at("/v1/chat/completions")
        sent = {"Content-Type": "application/json", **(headers or {})}
        async with (
            self.gateway.client(Authorization=f"Bearer {self.secret}") as client,
            client.post(url, data=body.encode(), headers=sent) as response,
        ):
            return await read(response)


class Streaming:
    """A caller who reads a stream piece by piece, and may leave. `received`: so far."""

    def __init__(self, caller: Caller, question: str, **fields: object) -> None:
        self._caller = caller
        self._body = request(question, stream=True, **fields)
        self._more = asyncio.Event()
        self.received = b""
        self.task = asyncio.create_task(self._read())

    async def _read(self) -> Said:
        caller = self._caller
        async with (
            caller.gateway.client(Authorization=f"Bearer {caller.secret}") as client,
            client.post(caller.gateway.at("/v1/chat/completions"), json=self._body) as response,
        ):
            async for chunk in response.content.iter_any():
                self.received += chunk
                self._more.set()
            return said(response, self.received)

    async def until_received(self, part: bytes) -> None:
        async with asyncio.timeout(PATIENCE):
            while part not in self.received:
                self._more.clear()
                await self._more.wait()


async def read(response: aiohttp.ClientResponse) -> Said:
    return said(response, await response.read())


def said(response: aiohttp.ClientResponse, raw: bytes) -> Said:
    headers = {name.lower(): value for name, value in response.headers.items()}
    is_stream = headers.get("content-type", "").startswith("text/event-stream")
    return Said(response.status, headers, raw, assembled(raw) if is_stream else json.loads(raw))


async def all_of(*asking: Any) -> list[Said]:  # noqa: ANN401  coroutines
    return list(await asyncio.gather(*asking))
