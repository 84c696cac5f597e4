"""Connections to providers, opened before a request needs one: name, TCP and TLS take longer than many an answer."""

import asyncio
from collections.abc import AsyncIterator, Iterable

import aiohttp
from msgspec import Struct
from yarl import URL

from gatewayz.providers.model import Provider

WITHIN = 5.0
"""Seconds that one may take."""
AT_ONCE = 8
_MOST_BYTES = 64 * 1024


class Opened(Struct, frozen=True):
    """`seconds`: what it took, None where there is no connection, for the `reason`."""

    provider: str
    seconds: float | None
    reason: str | None = None


async def open_connections(session: aiohttp.ClientSession, providers: Iterable[Provider]) -> AsyncIterator[Opened]:
    """One connection to each provider, left in the session's pool; tells of each as it is done.

    It asks for nothing that costs: GET of the host's root, without a key; after HEAD the client would close the
    connection. Whatever is answered, it stands for as long as the session keeps idle ones, if the provider does not
    close it and the answer is not long.
    """
    turns = asyncio.Semaphore(AT_ONCE)

    async def opened(provider: Provider, url: URL) -> Opened:
        async with turns:
            return await _opened(session, provider.slug, url)

    wanted = [opened(each, URL(each.base_url).origin()) for each in providers if each.base_url is not None]
    for done in asyncio.as_completed(wanted):
        yield await done


async def _opened(session: aiohttp.ClientSession, slug: str, url: URL) -> Opened:
    loop = asyncio.get_running_loop()
    began = loop.time()
    try:
        async with asyncio.timeout(WITHIN), session.get(url, allow_redirects=False) as answer:
            await _read_to_its_end(answer)
            return Opened(slug, loop.time() - began)
    except TimeoutError:
        return Opened(slug, None, f"no answer within {WITHIN:g} s")
    except (aiohttp.ClientError, OSError) as error:
        return Opened(slug, None, type(error).__name__)


async def _read_to_its_end(answer: aiohttp.ClientResponse) -> None:
    """Else the connection is closed, as it should be where the end is far."""
    left = _MOST_BYTES
    async for chunk in answer.content.iter_any():
        left -= len(chunk)
        if left < 0:
            return
