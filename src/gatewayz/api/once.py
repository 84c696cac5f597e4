"""A request with an `Idempotency-Key`: run to its end even if the caller leaves, and answered the same ever after."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from gatewayz.api.answer import Headers, Scope, Send, header, send_answer
from gatewayz.idempotency.model import KeptAnswer, Once
from gatewayz.idempotency.service import Idempotency

NAME = b"idempotency-key"
REPLAYED: tuple[bytes, bytes] = (b"idempotency-replayed", b"true")

Run = Callable[[Send, str], Coroutine[Any, Any, None]]
"""Answers by `send`; the second argument is the id under which the request is charged."""


def name_of(scope: Scope) -> str | None:
    """The caller's name for the request, if it gave one."""
    name = header(scope, NAME)
    return None if name is None else name.decode("latin-1")


class OnlyOnce:
    """Runs what has a name. Who asks may leave: the run goes on, as somebody will ask for its answer again."""

    def __init__(self, idempotency: Idempotency) -> None:
        self._idempotency = idempotency
        self._running: set[asyncio.Task[None]] = set()

    async def answer(self, once: Once, run: Run, send: Send, own_headers: Headers) -> None:
        """Raises what `run` and `Idempotency.claimed` raise, before anything is sent."""
        task = asyncio.ensure_future(self._answer(once, run, send, own_headers))
        self._running.add(task)
        task.add_done_callback(self._ended)
        await asyncio.shield(task)

    async def finish(self, within: float) -> None:
        """Wait, so many seconds at most, for what runs. What is cut then can be asked for anew when its claim ends."""
        if self._running:
            await asyncio.wait(set(self._running), timeout=within)

    async def _answer(self, once: Once, run: Run, send: Send, own_headers: Headers) -> None:
        async with self._idempotency.claimed(once) as claim:
            if isinstance(claim, KeptAnswer):
                await _replay(claim, send, own_headers)
                return
            recording = _Recording(send, self._idempotency.most_bytes)
            await run(recording, claim.generation)
            if (answer := recording.answer()) is not None:
                await self._idempotency.keep(claim, answer)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        if not task.cancelled():
            task.exception()  # told to whoever still waits


async def _replay(kept: KeptAnswer, send: Send, own_headers: Headers) -> None:
    headers: Headers = [
        (b"content-type", kept.content_type.encode("latin-1", "replace")),
        (b"content-length", str(len(kept.body)).encode()),
        REPLAYED,
        *own_headers,
    ]
    await send_answer(send, 200, headers, kept.body)


class _Recording:
    """Sends on what it is sent, and remembers it. Where the caller has left, it only remembers."""

    def __init__(self, send: Send, most_bytes: int) -> None:
        self._send = send
        self._most_bytes = most_bytes
        self._status = 0
        self._content_type = ""
        self._chunks: list[bytes] = []
        self._size = 0
        self._is_whole = False

    async def __call__(self, message: Any) -> None:  # noqa: ANN401  an ASGI message
        if message["type"] == "http.response.start":
            self._status = message["status"]
            self._content_type = dict(message["headers"]).get(b"content-type", b"").decode("latin-1")
        else:
            self._note(message.get("body", b""))
            self._is_whole = not message.get("more_body")
        await self._send(message)

    def answer(self) -> KeptAnswer | None:
        """The whole answer, if it was one and not too large to keep."""
        if self._status != 200 or not self._is_whole or self._size > self._most_bytes:
            return None
        return KeptAnswer(self._content_type, b"".join(self._chunks))

    def _note(self, chunk: bytes) -> None:
        self._size += len(chunk)
        if self._size <= self._most_bytes:
            self._chunks.append(chunk)
        else:
            self._chunks.clear()
