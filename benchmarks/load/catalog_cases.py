"""What is asked of the catalog."""

import json
from itertools import product

from msgspec import Struct

from benchmarks.load.driver import Address
from benchmarks.load.servers import fetch
from benchmarks.load.side_by_side import Case

PAGE = 100
SHARE = 0.6

# More distinct pages than the gateway keeps: their bytes must exceed its page memory of 64 MiB.
_DISTINCT_PAGES = 1200


class CatalogCases(Struct, frozen=True, kw_only=True):
    """The cases by what later figures compare."""

    full: Case
    full_gzip: Case
    page: Case
    unique: Case
    unique_uncached: Case
    not_modified: Case
    model: Case
    health: Case

    def all(self) -> list[Case]:
        return [getattr(self, name) for name in self.__struct_fields__]

    def pages(self) -> list[Case]:
        """Those whose cost must not depend on the catalog's size."""
        return [self.page, self.unique, self.unique_uncached]


def catalog_cases(address: Address) -> CatalogCases:
    """Cases for the gateway at this address, with the size and the names of its catalog."""
    stats = json.loads(fetch(address, "/v1/catalog/stats").body)
    page = f"/v1/models?limit={PAGE}&offset={stats['total_models'] // 2}"
    unique = f"/v1/models/unique?limit={PAGE}&offset={stats['total_unique_models'] // 2}"
    model = json.loads(fetch(address, page).body)["data"][0]["id"]
    etag = dict(fetch(address, page).headers)[b"etag"].decode()
    return CatalogCases(
        full=_same("the full list", "/v1/models", connections=4, bar=SHARE),
        full_gzip=_same(
            "the full list, gzip", "/v1/models", connections=4, bar=SHARE, headers=(("accept-encoding", "gzip"),)
        ),
        page=_same("a page of the list", page, bar=SHARE, latency=True),
        unique=_same("a page of unique models", unique, bar=SHARE, latency=True),
        unique_uncached=_uncached(stats["total_unique_models"]),
        not_modified=_same(
            "If-None-Match of a page, 304", page, headers=(("if-none-match", etag),), status=304, latency=True
        ),
        model=_same("one model", f"/v1/models/{model}"),
        health=_same("/health", "/health"),
    )


def _same(  # one target, and whatever else a case can have
    name: str,
    target: str,
    *,
    connections: int = 16,
    headers: tuple[tuple[str, str], ...] = (),
    status: int = 200,
    bar: float | None = None,
    latency: bool = False,
) -> Case:
    return Case(
        name=name,
        targets=(target,),
        connections=connections,
        headers=headers,
        status=status,
        bar=bar,
        latency=latency,
    )


def _uncached(uniques: int) -> Case:
    """Pages that the gateway assembles for each request, as it has forgotten them by the time they come again."""
    orders = tuple(product(("provider_count", "name", "cheapest_price"), ("asc", "desc")))
    step = max(1, len(orders) * uniques // _DISTINCT_PAGES)
    return Case(
        name="another page of unique models each time",
        targets=[
            f"/v1/models/unique?limit={PAGE}&offset={offset}&sort_by={sort}&order={order}"
            for (sort, order), offset in product(orders, range(0, max(1, uniques - PAGE), step))
        ],
        bar=SHARE,
    )
