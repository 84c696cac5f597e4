"""Fetches a provider's model list: every page or none, bounded in time, pages and bytes."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import aiohttp
from yarl import URL

from gatewayz.providers.auth import request_headers
from gatewayz.providers.errors import BrokenListing, ListingUnavailable
from gatewayz.providers.fields import at
from gatewayz.providers.listing import Listing
from gatewayz.providers.model import ListSource, Paging, Provider
from gatewayz.providers.parse import decode_page, read_documents, static_listing

MOST_PAGES = 50
MOST_BYTES = 64 * 1024 * 1024
_MOST_REDIRECTS = 3
_REDIRECTS = frozenset({301, 302, 303, 307, 308})


async def fetch_listing(session: aiohttp.ClientSession, provider: Provider, api_key: str | None) -> Listing:
    """The provider's whole list; without a list route, the models it is configured with and no request.

    Raises ListingUnavailable where it cannot be had within the source's deadline, and BrokenListing where
    what came is no list or does not end. Neither message holds the key or anything the provider wrote.
    """
    source = provider.listing
    if source is None:
        return static_listing(provider)
    try:
        async with asyncio.timeout(source.deadline):
            documents = await _documents(session, provider, source, api_key)
    except TimeoutError as error:
        raise ListingUnavailable(
            f"the model list of {provider.slug!r} did not come within {source.deadline:g} seconds"
        ) from error
    # Thousands of rows take longer than a request may wait for the event loop.
    return await asyncio.to_thread(read_documents, provider, documents)


async def probe_listing(
    session: aiohttp.ClientSession, provider: Provider, api_key: str | None, *, within: float
) -> None:
    """See that the provider's list begins to come within so many seconds; no more of it is read than that.

    Raises ListingUnavailable where it does not, or the provider has no list. The message is as that of `fetch_listing`.
    """
    source = provider.listing
    if source is None:
        raise ListingUnavailable(f"{provider.slug!r} has no list to ask for")
    headers = request_headers(provider.auth, provider.headers, api_key)
    try:
        async with asyncio.timeout(within), _opened(session, provider.slug, _first_page(provider, source), headers):
            return
    except TimeoutError as error:
        raise ListingUnavailable(f"{provider.slug!r} did not answer within {within:g} seconds") from error


def list_url(provider: Provider, source: ListSource) -> URL:
    """The address of the list: a path after the base URL, or the URL that the source names."""
    if source.path.startswith(("http://", "https://")):
        return URL(source.path)
    return URL(f"{(provider.base_url or '').rstrip('/')}{source.path}")


async def _documents(
    session: aiohttp.ClientSession, provider: Provider, source: ListSource, api_key: str | None
) -> list[object]:
    headers = request_headers(provider.auth, provider.headers, api_key)
    paging = source.paging
    first = _first_page(provider, source)
    documents: list[object] = []
    cursors: set[str] = set()
    budget = MOST_BYTES
    address: URL | None = first
    while address is not None:
        body = await _page(session, provider.slug, address, headers, budget)
        budget -= len(body)
        document = await asyncio.to_thread(decode_page, provider.slug, body)
        documents.append(document)
        cursor = _next_cursor(paging, document)
        if cursor is not None and (cursor in cursors or len(documents) == MOST_PAGES):
            raise BrokenListing(f"the model list of {provider.slug!r} does not end (page {len(documents)})")
        cursors.add(cursor or "")
        address = first.update_query({paging.parameter: cursor}) if paging and cursor else None
    return documents


def _first_page(provider: Provider, source: ListSource) -> URL:
    url = list_url(provider, source)
    return url.update_query(source.paging.fixed) if source.paging else url


def _next_cursor(paging: Paging | None, document: object) -> str | None:
    if paging is None or (paging.more is not None and at(document, paging.more) is not True):
        return None
    cursor = at(document, paging.cursor)
    return cursor if isinstance(cursor, str) and cursor else None


async def _page(session: aiohttp.ClientSession, slug: str, url: URL, headers: Mapping[str, str], budget: int) -> bytes:
    async with _opened(session, slug, url, headers) as response:
        return await _body(response, slug, budget)


@asynccontextmanager
async def _opened(
    session: aiohttp.ClientSession, slug: str, url: URL, headers: Mapping[str, str]
) -> AsyncIterator[aiohttp.ClientResponse]:
    """The 200 of one page. Redirects are followed within the same origin only: the key goes nowhere else."""
    origin = url.origin()
    try:
        for _ in range(_MOST_REDIRECTS + 1):
            async with session.get(url, headers=headers, allow_redirects=False) as response:
                if response.status == 200:
                    yield response
                    return
                if response.status not in _REDIRECTS:
                    raise _refused(slug, response.status)
                url = _redirected(url, response.headers.get("Location", ""))
                if url.origin() != origin:
                    raise ListingUnavailable(
                        f"the model list of {slug!r} redirects to another host; set its list URL",
                        status=response.status,
                    )
    except (aiohttp.ClientError, ValueError, OSError) as error:
        if isinstance(error, TimeoutError):
            raise
        # `from None`: the client's errors may quote the request, and the request holds the key.
        raise ListingUnavailable(f"the model list of {slug!r} cannot be fetched ({type(error).__name__})") from None
    raise ListingUnavailable(f"the model list of {slug!r} redirects without end")


def _redirected(url: URL, location: str) -> URL:
    return url.join(URL(location))


def _refused(slug: str, status: int) -> ListingUnavailable:
    remedy = "; check its API key" if status in {401, 403} else ""
    return ListingUnavailable(f"the model list of {slug!r} was refused with status {status}{remedy}", status=status)


async def _body(response: aiohttp.ClientResponse, slug: str, budget: int) -> bytes:
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > budget:
            raise BrokenListing(f"the model list of {slug!r} is larger than {MOST_BYTES} bytes")
    return bytes(body)
