"""Providers that speak OpenAI's chat format: the caller's bytes go through, only the model's name changes."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from msgspec import Struct

from gatewayz.core.errors import GatewayzError
from gatewayz.providers.dialects.chat import ChatAnswer, ChatAttempt, Endpoint
from gatewayz.providers.dialects.fault import blamed, counts_no_tokens, error_in, failed
from gatewayz.providers.dialects.upstream import posted, received, resumed, whole_body
from gatewayz.providers.dialects.vectors import NoVectors, vectors_in

# The provider found fault with the request itself; everybody else would too.
_CALLERS_FAULT = (400, 413, 415, 422)
_NO_QUOTA = "insufficient_quota"


class OpenAIDialect:
    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    @asynccontextmanager
    async def chat(self, attempt: ChatAttempt) -> AsyncIterator[ChatAnswer]:
        if attempt.endpoint is Endpoint.TOKENS:
            raise counts_no_tokens(attempt)
        body = {**attempt.body, "model": attempt.native_id}
        async with posted(self._session, attempt, attempt.endpoint, body, _fault) as response:
            content_type = response.headers.get("Content-Type", "application/json")
            yield ChatAnswer(content_type, await _begun(attempt, response))


async def _begun(attempt: ChatAttempt, response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    """The answer once it can no longer be had elsewhere: a stream from its first bytes, else the whole body.

    Until then whatever breaks is this attempt's failure, and the next provider may be tried.
    """
    if not attempt.is_streaming:
        body = await whole_body(attempt, response)
        if attempt.endpoint is Endpoint.EMBEDDINGS:
            _check_vectors(attempt, body)
        return resumed(body)
    chunks = received(attempt, response)
    first = await anext(chunks, b"")
    if not first:
        raise failed(attempt, "ended its answer before the first byte")
    return resumed(first, chunks)


def _check_vectors(attempt: ChatAttempt, body: bytes) -> None:
    """One missing, and all that follow it would stand for other texts than their own."""
    try:
        vectors_in(body, attempt.prompts)
    except NoVectors as error:
        raise failed(attempt, str(error)) from error


def _fault(attempt: ChatAttempt, status: int, body: bytes) -> GatewayzError:
    told = error_in(body, _ErrorDetail)
    if status in _CALLERS_FAULT:
        return blamed(attempt, f"answered {status}", told.message)
    is_quota = _NO_QUOTA in (told.code, told.type)
    return failed(attempt, f"answered {status}", told.message, status=status, is_quota=is_quota)


class _ErrorDetail(Struct):
    message: str = ""
    code: Any = None
    type: Any = None
