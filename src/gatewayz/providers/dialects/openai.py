"""Providers that speak OpenAI's chat format: the caller's bytes go through, only the model's name changes."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import msgspec

from gatewayz.core.errors import GatewayzError
from gatewayz.providers.dialects.chat import ChatAnswer, ChatAttempt
from gatewayz.providers.dialects.fault import blamed, failed
from gatewayz.providers.dialects.upstream import posted, received, whole_body

# The provider found fault with the request itself; everybody else would too.
_CALLERS_FAULT = (400, 413, 415, 422)
_NO_QUOTA = "insufficient_quota"


class OpenAIDialect:
    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    @asynccontextmanager
    async def chat(self, attempt: ChatAttempt) -> AsyncIterator[ChatAnswer]:
        body = {**attempt.body, "model": attempt.native_id}
        async with posted(self._session, attempt, attempt.endpoint, body, _fault) as response:
            content_type = response.headers.get("Content-Type", "application/json")
            yield ChatAnswer(content_type, await _begun(attempt, response))


async def _begun(attempt: ChatAttempt, response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    """The answer once it can no longer be had elsewhere: a stream from its first bytes, else the whole body.

    Until then whatever breaks is this attempt's failure, and the next provider may be tried.
    """
    if not attempt.is_streaming:
        return _chunks(await whole_body(attempt, response), None)
    chunks = received(attempt, response)
    first = await anext(chunks, b"")
    if not first:
        raise failed(attempt, "ended its answer before the first byte")
    return _chunks(first, chunks)


async def _chunks(first: bytes, rest: AsyncIterator[bytes] | None) -> AsyncIterator[bytes]:
    yield first
    if rest is not None:
        async for chunk in rest:
            yield chunk


def _fault(attempt: ChatAttempt, status: int, body: bytes) -> GatewayzError:
    told = _told(body)
    if status in _CALLERS_FAULT:
        return blamed(attempt, f"answered {status}", told.message)
    is_quota = _NO_QUOTA in (told.code, told.type)
    return failed(attempt, f"answered {status}", told.message, status=status, is_quota=is_quota)


class _ErrorDetail(msgspec.Struct):
    message: str = ""
    code: Any = None
    type: Any = None


class _ErrorBody(msgspec.Struct):
    error: _ErrorDetail


def _told(body: bytes) -> _ErrorDetail:
    """The provider's own words from an OpenAI-shaped error; of any other body nothing is shown to a client."""
    try:
        return msgspec.json.decode(body, type=_ErrorBody).error
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return _ErrorDetail()
