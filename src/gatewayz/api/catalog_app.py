"""The catalog's operations as one plain ASGI callable in front of the framework.

A page that was asked for before costs two look-ups: the path and query find its finished bytes.
"""

import re
from collections.abc import Mapping, Sequence

from gatewayz.api.answer import Headers, Receive, Scope, Send, header_list, send_answer
from gatewayz.api.catalog import HEALTH, CatalogRoute
from gatewayz.api.catalog_health import CatalogHealth, Told
from gatewayz.api.negotiation import choose_coding, is_known_to_client
from gatewayz.api.page import Asked, Doorkeeper, Page, PageMemory
from gatewayz.catalog.service import CatalogService
from gatewayz.catalog.snapshot import Snapshot
from gatewayz.core.errors import ErrorKind, GatewayzError

# RFC 9211: answered from memory, after waiting for another tier or the source, or with the cache turned off.
HIT = (b"cache-status", b"gatewayz; hit; detail=L1")
MISS = (b"cache-status", b"gatewayz; fwd=miss")
BYPASS = (b"cache-status", b"gatewayz; fwd=bypass")

_PAGE_MEMORY = 64 * 1024 * 1024
_HEALTH_MEMORY = 4 * 1024 * 1024
_MODEL = r"(?P<model>[^/].*)"
_SLUG = r"(?P<slug>[^/]+)"


def path_pattern(path: str) -> re.Pattern[str]:
    return re.compile(path.replace("{model}", _MODEL).replace("{slug}", _SLUG))


class CatalogApp:
    methods = ("GET", "HEAD")

    def __init__(
        self,
        catalog: CatalogService,
        routes: Sequence[CatalogRoute],
        health: CatalogHealth,
        *,
        is_cached: bool = True,
    ) -> None:
        self._catalog = catalog
        self._health = health
        self._waited = MISS if is_cached else BYPASS
        paths = [(path, route) for route in routes for path in route.paths]
        self._exact: Mapping[str, CatalogRoute] = {path: route for path, route in paths if "{" not in path}
        self._patterns = [(path_pattern(path), route) for path, route in paths if "{" in path]
        self._snapshot: Snapshot | None = None
        self._memory = PageMemory(_PAGE_MEMORY)
        self._told: tuple[Told, Snapshot] | None = None
        self._told_memory = PageMemory(_HEALTH_MEMORY)
        self._doorkeeper = Doorkeeper()

    def serves(self, path: str) -> bool:
        return path in self._exact or self._match(path) is not None

    def endpoint(self, _path: str) -> str:
        return "catalog"

    async def __call__(self, scope: Scope, _receive: Receive, send: Send, own_headers: Headers) -> None:
        """Answer a catalog request; `own_headers` go out with it. Raises GatewayzError for the caller to send."""
        snapshot, cache_status = self._catalog.peek(), HIT
        if snapshot is None:
            snapshot, cache_status = await self._catalog.snapshot(), self._waited
        if snapshot is not self._snapshot:
            self._snapshot, self._memory = snapshot, PageMemory(_PAGE_MEMORY)
        asked = (scope["path"], scope["query_string"])
        page = self._memory.get(asked) or await self._page(asked, snapshot)
        await _send_page(scope, send, page, [cache_status, *own_headers])

    async def _page(self, asked: Asked, snapshot: Snapshot) -> Page:
        path, query = asked
        route, values = self._route(path)
        memory, wanted = self._memory, {**route.query.read(query), **values}
        if route.tells_health:
            told = await self._health.told()
            memory = self._memory_with(told, snapshot)
            if (page := memory.get(asked)) is not None:
                return page
            wanted[HEALTH] = told
        assembled = route.assemble(snapshot, wanted)
        page = Page(assembled.body, assembled.digest)
        if self._doorkeeper.admits(asked):
            memory.put(asked, page)
        return page

    def _memory_with(self, told: Told, snapshot: Snapshot) -> PageMemory:
        """For answers of this snapshot that tell of health."""
        if self._told is None or self._told[0] is not told or self._told[1] is not snapshot:
            self._told, self._told_memory = (told, snapshot), PageMemory(_HEALTH_MEMORY)
        return self._told_memory

    def _route(self, path: str) -> tuple[CatalogRoute, dict[str, str]]:
        found = self._exact.get(path)
        if found is not None:
            return found, {}
        matched = self._match(path)
        if matched is None:
            raise GatewayzError(f"there is no {path!r}", kind=ErrorKind.NOT_FOUND)
        return matched

    def _match(self, path: str) -> tuple[CatalogRoute, dict[str, str]] | None:
        for pattern, route in self._patterns:
            if match := pattern.fullmatch(path):
                return route, match.groupdict()
        return None


async def _send_page(scope: Scope, send: Send, page: Page, own_headers: Headers) -> None:
    coding = choose_coding(header_list(scope, b"accept-encoding") or b"")
    variant = page.ready(coding) or await page.variant(coding)
    known = header_list(scope, b"if-none-match")
    if known is not None and is_known_to_client(known, variant.etag):
        await send_answer(send, 304, variant.not_modified_headers + own_headers, b"")
    else:
        body = b"" if scope["method"] == "HEAD" else variant.body
        await send_answer(send, 200, variant.headers + own_headers, body)
