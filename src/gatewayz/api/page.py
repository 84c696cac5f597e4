"""An answer assembled once and sent many times: its bytes in each coding, its headers, its tag."""

import asyncio
import zlib
from collections import OrderedDict
from collections.abc import Callable
from hashlib import blake2b

import zstandard

from gatewayz.api.negotiation import Coding

Headers = list[tuple[bytes, bytes]]

# A path and its query.
Asked = tuple[str, bytes]

# Smaller bodies gain nothing; larger ones are compressed off the event loop.
_WORTH_COMPRESSING = 1_024
_OFF_THE_LOOP = 65_536
# How many of the pages asked for once are known by what was asked.
_REMEMBERED = 1_024
# What a page takes beside its body: headers, tags, its place in the memory.
_PAGE_OVERHEAD = 4_096


def _gzip(body: bytes) -> bytes:
    compressor = zlib.compressobj(6, zlib.DEFLATED, zlib.MAX_WBITS | 16)
    return compressor.compress(body) + compressor.flush()


def _zstd(body: bytes) -> bytes:
    return zstandard.ZstdCompressor(level=6).compress(body)


_COMPRESSORS: dict[Coding, Callable[[bytes], bytes]] = {"gzip": _gzip, "zstd": _zstd}


class Variant:
    """One coding of a page: what is sent, header by header, and the 304 that stands for it."""

    __slots__ = ("body", "etag", "headers", "not_modified_headers")

    def __init__(self, body: bytes, coding: Coding, etag: bytes) -> None:
        shared: Headers = [
            (b"etag", etag),
            (b"vary", b"accept-encoding"),
            (b"cache-control", b"public, max-age=0, must-revalidate"),
        ]
        coded: Headers = [(b"content-encoding", coding.encode())] if coding != "identity" else []
        self.body = body
        self.etag = etag
        self.headers: Headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
            *coded,
            *shared,
        ]
        self.not_modified_headers = shared


class Page:
    """`digest` must cover everything that the body says: it becomes the strong ETag, one per coding."""

    def __init__(self, body: bytes, digest: bytes) -> None:
        self._tag = blake2b(digest, digest_size=16).hexdigest()
        self._variants: dict[Coding, Variant] = {"identity": Variant(body, "identity", self._etag("identity"))}
        self._compressing: dict[Coding, asyncio.Task[Variant]] = {}

    @property
    def plain_size(self) -> int:
        return len(self._variants["identity"].body)

    def ready(self, coding: Coding) -> Variant | None:
        """The variant if it needs no waiting for. Small bodies are compressed here and now, once."""
        variant = self._variants.get(coding)
        if variant is not None:
            return variant
        plain = self._variants["identity"]
        if len(plain.body) < _WORTH_COMPRESSING:
            return plain
        if len(plain.body) < _OFF_THE_LOOP:
            return self._keep(coding, _COMPRESSORS[coding](plain.body))
        return None

    async def variant(self, coding: Coding) -> Variant:
        """The variant, compressed in a thread if need be: once, however many ask and whoever of them leaves."""
        if (ready := self.ready(coding)) is not None:
            return ready
        task = self._compressing.get(coding)
        if task is None:
            task = self._compressing[coding] = asyncio.create_task(self._compress(coding))
        return await asyncio.shield(task)

    async def _compress(self, coding: Coding) -> Variant:
        try:
            body = await asyncio.to_thread(_COMPRESSORS[coding], self._variants["identity"].body)
        finally:
            del self._compressing[coding]
        return self._keep(coding, body)

    def _keep(self, coding: Coding, body: bytes) -> Variant:
        variant = self._variants[coding] = Variant(body, coding, self._etag(coding))
        return variant

    def _etag(self, coding: Coding) -> bytes:
        suffix = "" if coding == "identity" else f"-{coding}"
        return f'"{self._tag}{suffix}"'.encode()


class Doorkeeper:
    """Admits what was asked for before, not long ago: whoever reads through a whole list once pushes nothing out."""

    def __init__(self) -> None:
        self._asked_once: OrderedDict[Asked, None] = OrderedDict()

    def admits(self, asked: Asked) -> bool:
        if asked in self._asked_once:
            del self._asked_once[asked]
            return True
        self._asked_once[asked] = None
        if len(self._asked_once) > _REMEMBERED:
            self._asked_once.popitem(last=False)
        return False


class PageMemory:
    """The pages of one snapshot by what was asked, least recently used out first.

    Bounded in bytes of plain bodies, of what was asked, and of what a page takes beside its body.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._bytes = 0
        self._pages: OrderedDict[Asked, Page] = OrderedDict()

    def get(self, asked: Asked) -> Page | None:
        page = self._pages.get(asked)
        if page is not None:
            self._pages.move_to_end(asked)
        return page

    def put(self, asked: Asked, page: Page) -> None:
        """Keep the page. One larger than the bound is kept alone."""
        replaced = self._pages.pop(asked, None)
        self._pages[asked] = page
        self._bytes += _weight(asked, page) - (_weight(asked, replaced) if replaced else 0)
        while self._bytes > self._max_bytes and len(self._pages) > 1:
            self._bytes -= _weight(*self._pages.popitem(last=False))


def _weight(asked: Asked, page: Page) -> int:
    return page.plain_size + len(asked[0]) + len(asked[1]) + _PAGE_OVERHEAD
