"""One POST to a provider, and the bytes that come back. What breaks on the way is ProviderFailed, and nothing else."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Protocol

import aiohttp
import msgspec

from gatewayz.core.errors import GatewayzError, ProviderFailed
from gatewayz.providers.auth import request_headers
from gatewayz.providers.dialects.chat import ChatAttempt
from gatewayz.providers.dialects.fault import failed
from gatewayz.providers.retry_after import seconds_to_wait

LONGEST_ERROR = 64 * 1024
LONGEST_ANSWER = 64 * 1024 * 1024
_CONNECT_WITHIN = 5.0


class ReadFault(Protocol):
    """Makes of an answer that is no 200 the error it stands for. Shows nothing of a body that it cannot read."""

    def __call__(self, attempt: ChatAttempt, status: int, body: bytes) -> GatewayzError: ...


@asynccontextmanager
async def posted(
    session: aiohttp.ClientSession, attempt: ChatAttempt, path: str, body: object, fault: ReadFault
) -> AsyncIterator[aiohttp.ClientResponse]:
    """The provider's 200, whose body is still to come. Leaving the context ends its work."""
    provider = attempt.provider
    key = attempt.api_key.get_secret_value() if attempt.api_key else None
    try:
        async with session.post(
            f"{provider.base_url}{path}",
            data=msgspec.json.encode(body),
            headers={**request_headers(provider.auth, provider.headers, key), "Content-Type": "application/json"},
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_WITHIN, sock_read=provider.read_timeout),
            allow_redirects=False,
        ) as response:
            if response.status != 200:
                raise _told_when(response, fault(attempt, response.status, await _beginning(response)))
            yield response
    except (aiohttp.ClientError, TimeoutError) as error:
        raise _silent(attempt, error) from error


async def received(attempt: ChatAttempt, response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    """The body's bytes as they come. Raises ProviderFailed where they break off."""
    try:
        async for chunk in response.content.iter_any():
            yield chunk
    except (aiohttp.ClientError, TimeoutError) as error:
        raise _silent(attempt, error) from error


async def resumed(first: bytes, rest: AsyncIterator[bytes] | None = None) -> AsyncIterator[bytes]:
    """What was read ahead, and what follows it, if anything."""
    yield first
    if rest is not None:
        async for chunk in rest:
            yield chunk


async def whole_body(attempt: ChatAttempt, response: aiohttp.ClientResponse) -> bytes:
    chunks: list[bytes] = []
    size = 0
    async for chunk in received(attempt, response):
        size += len(chunk)
        if size > LONGEST_ANSWER:
            raise failed(attempt, f"sent an answer of more than {LONGEST_ANSWER} bytes")
        chunks.append(chunk)
    return b"".join(chunks)


async def _beginning(response: aiohttp.ClientResponse) -> bytes:
    """Of an error's body: all of it, as far as anybody needs to know it."""
    body = b""
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) >= LONGEST_ERROR:
            break
    return body[:LONGEST_ERROR]


def _told_when(response: aiohttp.ClientResponse, error: GatewayzError) -> GatewayzError:
    """The same, with the seconds after which the provider wants to be asked again."""
    if isinstance(error, ProviderFailed) and error.retry_after is None:
        error.retry_after = seconds_to_wait(response.headers.get("Retry-After"))
    return error


def _silent(attempt: ChatAttempt, error: Exception) -> GatewayzError:
    return failed(attempt, f"does not answer ({type(error).__name__})")
