"""Providers that speak OpenAI's chat format: the caller's bytes go through, only the model's name changes."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import msgspec

from gatewayz.core.errors import InvalidRequest, ProviderFailed
from gatewayz.providers.auth import request_headers
from gatewayz.providers.dialects.chat import ChatAnswer, ChatAttempt
from gatewayz.providers.retry_after import seconds_to_wait

_LONGEST_ERROR = 64 * 1024
_LONGEST_ANSWER = 64 * 1024 * 1024
# The provider found fault with the request itself; everybody else would too.
_CALLERS_FAULT = (400, 413, 415, 422)
_NO_QUOTA = "insufficient_quota"


class OpenAIDialect:
    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    @asynccontextmanager
    async def chat(self, attempt: ChatAttempt) -> AsyncIterator[ChatAnswer]:
        provider = attempt.provider
        key = attempt.api_key.get_secret_value() if attempt.api_key else None
        body = msgspec.json.encode({**attempt.body, "model": attempt.native_id})
        try:
            async with self._session.post(
                f"{provider.base_url}/chat/completions",
                data=body,
                headers={
                    **request_headers(provider.auth, provider.headers, key),
                    "Content-Type": "application/json",
                },
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=5, sock_read=provider.read_timeout),
                allow_redirects=False,
            ) as response:
                if response.status != 200:
                    raise await _failure(provider.slug, response)
                content_type = response.headers.get("Content-Type", "application/json")
                yield ChatAnswer(content_type, await _begun(provider.slug, response, attempt.is_streaming))
        except (aiohttp.ClientError, TimeoutError) as error:
            raise ProviderFailed(f"the provider {provider.slug!r} does not answer ({type(error).__name__})") from error


async def _begun(slug: str, response: aiohttp.ClientResponse, is_streaming: bool) -> AsyncIterator[bytes]:  # noqa: FBT001
    """The answer once it can no longer be had elsewhere: a stream from its first bytes, else the whole body.

    Until then whatever breaks is this attempt's failure, and the next provider may be tried.
    """
    if is_streaming:
        first = await response.content.readany()
        if not first:
            raise ProviderFailed(f"the provider {slug!r} ended its answer before the first byte")
        return _chunks(first, response)
    return _chunks(await _whole(slug, response), None)


async def _chunks(first: bytes, response: aiohttp.ClientResponse | None) -> AsyncIterator[bytes]:
    yield first
    if response is not None:
        async for chunk in response.content.iter_any():
            yield chunk


async def _whole(slug: str, response: aiohttp.ClientResponse) -> bytes:
    chunks: list[bytes] = []
    size = 0
    async for chunk in response.content.iter_any():
        size += len(chunk)
        if size > _LONGEST_ANSWER:
            raise ProviderFailed(f"the provider {slug!r} sent an answer of more than {_LONGEST_ANSWER} bytes")
        chunks.append(chunk)
    return b"".join(chunks)


async def _failure(slug: str, response: aiohttp.ClientResponse) -> InvalidRequest | ProviderFailed:
    told = _told(await response.content.read(_LONGEST_ERROR))
    reason = told.message[:500]
    message = f"the provider {slug!r} answered {response.status}{f': {reason}' if reason else ''}"
    if response.status in _CALLERS_FAULT:
        return InvalidRequest(message)
    retry_after = seconds_to_wait(response.headers.get("Retry-After"))
    is_quota = _NO_QUOTA in (told.code, told.type)
    return ProviderFailed(message, status=response.status, retry_after=retry_after, is_quota=is_quota)


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
    except msgspec.MsgspecError:
        return _ErrorDetail()
