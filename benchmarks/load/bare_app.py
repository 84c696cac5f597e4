"""The peer: the least that an ASGI application can do, under the same server with the same options as the gateway.

It sends recorded answers, head and body, one after the other in a cycle, whatever it is asked. The body of a POST it
reads to its end.

Run: python -m benchmarks.load.bare_app FILE PORT
"""

import sys
from collections.abc import Awaitable, Callable, Sequence
from itertools import cycle
from pathlib import Path
from typing import Any

import msgspec
import uvicorn
from msgspec import Struct

Message = dict[str, Any]


class RecordedAnswer(Struct, frozen=True):
    """An answer of the gateway: status, headers in their order, and the body's bytes as sent."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes


def bare_app(answers: Sequence[RecordedAnswer]) -> Callable[..., Awaitable[None]]:
    messages = cycle([_messages(answer) for answer in answers])

    async def app(
        scope: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
    ) -> None:
        if scope["method"] == "POST":
            while (await receive()).get("more_body"):
                pass
        start, body = next(messages)
        await send(start)
        await send(body)

    return app


def _messages(answer: RecordedAnswer) -> tuple[Message, Message]:
    return (
        {"type": "http.response.start", "status": answer.status, "headers": answer.headers},
        {"type": "http.response.body", "body": answer.body},
    )


def main() -> None:
    file, port = Path(sys.argv[1]), int(sys.argv[2])
    answers = msgspec.msgpack.decode(file.read_bytes(), type=list[RecordedAnswer])
    uvicorn.run(
        bare_app(answers),
        port=port,
        loop="uvloop",
        http="httptools",
        ws="none",
        lifespan="off",
        access_log=False,
        log_level="warning",
        server_header=False,
        date_header=False,
        backlog=2048,
    )


if __name__ == "__main__":
    main()
