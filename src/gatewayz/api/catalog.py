"""The catalog over HTTP: which routes there are, what they take, what they say."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

from gatewayz.api.catalog_health import Told
from gatewayz.api.parameters import Amount, Choice, Flag, Parameter, Query, Text, Whole, unknown_name
from gatewayz.catalog.fragments import (
    architecture_form,
    cheapest_of,
    encode,
    endpoint_form,
    pricing_form,
)
from gatewayz.catalog.layout import Listed, Selection
from gatewayz.catalog.model import Offer
from gatewayz.catalog.search import Search
from gatewayz.catalog.snapshot import Snapshot
from gatewayz.core.errors import ErrorKind, GatewayzError, InvalidRequest, ModelNotFound
from gatewayz.core.money import plain

Values = Mapping[str, Any]
EVERY_PROVIDER = "all"
HEALTH = "health"


@dataclass(frozen=True)
class Assembled:
    """A body, and a digest over everything that it says (for the ETag)."""

    body: bytes
    digest: bytes

    @classmethod
    def of(cls, form: object) -> "Assembled":
        body = encode(form)
        return cls(body, body)


@dataclass(frozen=True)
class CatalogRoute:
    """One operation. `paths` may hold `{model}` (author/slug) or `{slug}`, which arrive among the values, and so does
    what may be told of HEALTH where it `tells_health`.
    """

    paths: tuple[str, ...]
    summary: str
    parameters: tuple[Parameter, ...]
    assemble: Callable[[Snapshot, Values], Assembled]
    tells_health: bool = False

    @cached_property
    def query(self) -> Query:
        return Query(self.parameters)


GATEWAY = Text("gateway", "Only this provider's models; 'all' for every provider.", default=EVERY_PROVIDER)
PROVIDER = Text("provider", "The same as gateway.")
LIMIT = Whole("limit", "How many to return. All, when neither limit nor offset is given.", 1, 1000)
OFFSET = Whole("offset", "How many to skip.", 0, 10_000_000)
PAGE_LIMIT = Whole("limit", "How many to return.", 1, 1000, default=100)
PAGE_OFFSET = Whole("offset", "How many to skip.", 0, 10_000_000, default=0)
DEFAULT_LIMIT = 100


def list_models(snapshot: Snapshot, values: Values) -> Assembled:
    provider = _one_provider(snapshot, values)
    found = _unique_of(snapshot, provider) if values["unique_models"] else snapshot.offer_layout(provider)
    limit, offset = values["limit"], values["offset"]
    if limit is None and offset is not None:
        limit = DEFAULT_LIMIT
    return _page(b'{"object":"list","data":[', found, offset or 0, limit)


def list_everything(snapshot: Snapshot, values: Values) -> Assembled:
    return _page(b'{"object":"list","data":[', snapshot.offer_layout(_one_provider(snapshot, values)), 0, None)


def list_unique(snapshot: Snapshot, values: Values) -> Assembled:
    found = snapshot.unique_layout(
        values["sort_by"],
        values["order"],
        min_providers=values["min_providers"],
        include_inactive=values["include_inactive"],
    )
    echo = {
        "filters": {name: values[name] for name in ("min_providers", "include_inactive")},
        "sort": {name: values[name] for name in ("sort_by", "order")},
    }
    return _page(b'{"object":"list","models":[', found, values["offset"], values["limit"], echo)


def search_models(snapshot: Snapshot, values: Values) -> Assembled:
    search = Search(
        words=tuple((values["q"] or "").lower().split()),
        modality=values["modality"],
        provider=_known_provider(snapshot, "provider", values["provider"]) if values["provider"] else None,
        min_context=values["min_context"],
        max_context=values["max_context"],
        min_price=values["min_price"],
        max_price=values["max_price"],
    )
    found = Selection(snapshot.fragments, search.find(snapshot, values["sort_by"], values["order"]))
    return _page(b'{"object":"list","data":[', found, values["offset"], values["limit"])


def retrieve_model(snapshot: Snapshot, values: Values) -> Assembled:
    """The offer of the wanted provider; without one, the cheapest offer whose price is known."""
    numbers = _exact(snapshot, _offers_of(snapshot, values), values["model"])
    gateway = values["gateway"]
    if gateway != EVERY_PROVIDER:
        _known_provider(snapshot, "gateway", gateway)
        numbers = [number for number in numbers if snapshot.offers[number].provider == gateway]
        if not numbers:
            raise ModelNotFound(f"{gateway!r} does not offer the model {values['model']!r}", param="gateway")
    cheapest = cheapest_of([snapshot.offers[number] for number in numbers])
    chosen = next((n for n in numbers if snapshot.offers[n] is cheapest), numbers[0])
    return Assembled(snapshot.fragments.pieces[chosen], snapshot.fragments.digests[chosen])


def list_endpoints(snapshot: Snapshot, values: Values) -> Assembled:
    offers = [snapshot.offers[number] for number in _offers_of(snapshot, values)]
    first = offers[0]
    form = {
        "id": values["model"],
        "name": first.name,
        "created": first.created or 0,
        "description": first.description,
        "architecture": architecture_form(first),
        "endpoints": [_endpoint(snapshot, offer, values[HEALTH]) for offer in offers],
    }
    return Assembled.of({"data": form})


def compare_gateways(snapshot: Snapshot, values: Values) -> Assembled:
    wanted = [slug.strip() for slug in values["gateways"].split(",")] if values["gateways"] else []
    for slug in wanted:
        _known_provider(snapshot, "gateways", slug)
    offers = [
        offer
        for number in _offers_of(snapshot, values)
        if (offer := snapshot.offers[number]) and (not wanted or offer.provider in wanted)
    ]
    offers.sort(key=lambda offer: (offer.pricing.prompt is None, offer.pricing.prompt or 0, offer.provider))
    return Assembled.of(
        {
            "model": values["model"],
            "gateways": [_comparison(snapshot, offer, values[HEALTH]) for offer in offers],
            "recommendation": _recommendation(offers),
        }
    )


def list_providers(configured: Collection[str], snapshot: Snapshot, values: Values) -> Assembled:
    forms = [_provider_form(snapshot, slug, configured, values[HEALTH]) for slug in snapshot.providers]
    return Assembled.of({"object": "list", "data": forms})


def provider_stats(configured: Collection[str], snapshot: Snapshot, values: Values) -> Assembled:
    slug = values["slug"]
    if slug not in snapshot.providers:
        raise GatewayzError(unknown_name("provider", slug, snapshot.providers), kind=ErrorKind.NOT_FOUND)
    offers = [snapshot.offers[number] for number in snapshot.by_provider.get(slug, ())]
    prices = sorted(offer.pricing.prompt for offer in offers if offer.pricing.prompt is not None)
    return Assembled.of(
        {
            **_provider_form(snapshot, slug, configured, values[HEALTH]),
            "priced": len(prices),
            "free": sum(offer.is_free for offer in offers),
            "unique_models": len({offer.unique_id for offer in offers}),
            "median_prompt_price": plain(prices[len(prices) // 2]) if prices else None,
        }
    )


def catalog_stats(snapshot: Snapshot, _values: Values) -> Assembled:
    stats = snapshot.stats
    return Assembled.of(
        {
            "total_models": stats.total_models,
            "total_providers": stats.total_providers,
            "total_unique_models": stats.total_unique_models,
            "by_modality": dict(stats.by_modality),
            "priced": stats.priced,
            "priced_share": round(stats.priced / stats.total_models, 4) if stats.total_models else None,
            "free": stats.free,
            "version": snapshot.version,
            "changed_at": max((record.changed_at or 0 for record in snapshot.providers.values()), default=None),
        }
    )


_ROUTES: tuple[CatalogRoute, ...] = (
    CatalogRoute(
        ("/v1/models", "/models", "/api/models"),
        "List models, one entry per provider that offers it.",
        (
            GATEWAY,
            PROVIDER,
            LIMIT,
            OFFSET,
            Flag("unique_models", "One entry per model over all providers instead of one per offer."),
        ),
        list_models,
    ),
    CatalogRoute(("/api/models/all",), "The whole catalog in one answer.", (GATEWAY,), list_everything),
    CatalogRoute(
        ("/v1/models/unique", "/models/unique"),
        "List unique models: each once, with every provider that offers it.",
        (
            PAGE_LIMIT,
            PAGE_OFFSET,
            Whole("min_providers", "Only models that at least this many providers offer.", 0, 1000, default=0),
            Choice(
                "sort_by", "What to sort by.", ("provider_count", "name", "cheapest_price"), default="provider_count"
            ),
            Choice("order", "Which end comes first. Unknown prices come last either way.", ("asc", "desc"), "desc"),
            Flag("include_inactive", "Also models that nobody offers any more."),
        ),
        list_unique,
    ),
    CatalogRoute(
        ("/v1/models/search", "/models/search"),
        "Search models.",
        (
            Text("q", "Words that must all occur in the id, name or provider."),
            Text("modality", "An input or output modality, such as image.", longest=40),
            Whole("min_context", "At least this context length in tokens.", 0, 1_000_000_000),
            Whole("max_context", "At most this context length in tokens.", 0, 1_000_000_000),
            Amount("min_price", "At least this many US dollars per prompt token. An unknown price fits no bound."),
            Amount("max_price", "At most this many US dollars per prompt token. An unknown price fits no bound."),
            PROVIDER,
            Choice("sort_by", "What to sort by.", ("id", "name", "price", "context_length", "created"), default="id"),
            Choice("order", "Which end comes first. What is unknown comes last either way.", ("asc", "desc"), "asc"),
            PAGE_LIMIT,
            PAGE_OFFSET,
        ),
        search_models,
    ),
    CatalogRoute(
        ("/v1/models/{model}/endpoints",),
        "Every provider of a model, with its health, in OpenRouter's shape.",
        (),
        list_endpoints,
        tells_health=True,
    ),
    CatalogRoute(
        ("/v1/models/{model}/compare",),
        "Compare a model's price over its providers.",
        (Text("gateways", "Only these providers, separated by commas."),),
        compare_gateways,
        tells_health=True,
    ),
    CatalogRoute(("/v1/models/{model}",), "One model.", (GATEWAY,), retrieve_model),
    CatalogRoute(("/v1/catalog/stats", "/catalog/stats"), "Figures of the whole catalog.", (), catalog_stats),
)


def catalog_routes(configured: Collection[str]) -> tuple[CatalogRoute, ...]:
    """Every catalog operation. `configured`: slugs of the providers that requests can be sent to."""
    return (
        *_ROUTES,
        CatalogRoute(
            ("/v1/providers", "/v1/gateways", "/v1/gateways/status"),
            "Every provider: whether it is configured, its health, how many models.",
            (),
            partial(list_providers, configured),
            tells_health=True,
        ),
        CatalogRoute(
            ("/v1/providers/{slug}/stats",),
            "Figures of one provider.",
            (),
            partial(provider_stats, configured),
            tells_health=True,
        ),
    )


def _page(
    head: bytes, found: Listed, offset: int, limit: int | None, echo: Mapping[str, Any] | None = None
) -> Assembled:
    total = len(found)
    pieces, digest = found.part(offset, total if limit is None else offset + limit)
    end = offset + len(pieces)
    has_more = end < total
    rest = {
        "total": total,
        "returned": len(pieces),
        "offset": offset,
        "limit": limit,
        "has_more": has_more,
        "next_offset": end if has_more else None,
        **(echo or {}),
    }
    tail = b"]," + encode(rest)[1:]
    # Head and tail go into the one join: a copy of the whole page less.
    if pieces:
        pieces[0] = head + pieces[0]
        pieces[-1] += tail
    else:
        pieces = [head + tail]
    return Assembled(b",".join(pieces), digest + head + tail)


def _known_provider(snapshot: Snapshot, field: str, slug: str) -> str:
    if slug not in snapshot.providers:
        raise InvalidRequest(unknown_name("provider", slug, snapshot.providers), param=field)
    return slug


def _one_provider(snapshot: Snapshot, values: Values) -> str | None:
    """The provider that `gateway` or `provider` names; None for every one."""
    named = {values["gateway"], values.get("provider")} - {EVERY_PROVIDER, None}
    if not named:
        return None
    if len(named) > 1:
        raise InvalidRequest("'gateway' and 'provider' mean the same and name two; give one", param="provider")
    field = "gateway" if values["gateway"] in named else "provider"
    return _known_provider(snapshot, field, named.pop())


def _unique_of(snapshot: Snapshot, provider: str | None) -> Listed:
    if provider is None:
        return snapshot.unique_layout("name", "asc")
    wanted = {snapshot.offers[number].unique_id for number in snapshot.by_provider.get(provider, ())}
    order = snapshot.unique_order("name", "asc")
    return Selection(snapshot.unique_fragments, [n for n in order if snapshot.uniques[n].id in wanted])


def _offers_of(snapshot: Snapshot, values: Values) -> Sequence[int]:
    numbers = snapshot.find_offers(values["model"])
    if not numbers:
        raise ModelNotFound(
            f"the model {values['model'][:200]!r} does not exist; GET /v1/models/search?q=… finds what does",
            param="model",
        )
    return numbers


def _exact(snapshot: Snapshot, numbers: Sequence[int], name: str) -> Sequence[int]:
    """Those that are called just so, if any are."""
    wanted = name.lower()
    return [n for n in numbers if wanted in (snapshot.offers[n].id, snapshot.offers[n].native_id.lower())] or numbers


def _endpoint(snapshot: Snapshot, offer: Offer, health: Told) -> dict[str, Any]:
    name = snapshot.provider_names.get(offer.provider, offer.provider)
    known = health.of_model(offer.provider, offer.native_id)
    latency = {"p50": known.latency.p50, "p95": known.latency.p95} if known.latency is not None else None
    uptime = round(100 * known.uptime, 2) if known.uptime is not None else None
    return endpoint_form(offer, name, known.status, latency, uptime)


def _comparison(snapshot: Snapshot, offer: Offer, health: Told) -> dict[str, Any]:
    return {
        "gateway": offer.provider,
        "name": snapshot.provider_names.get(offer.provider, offer.provider),
        "provider_model_id": offer.native_id,
        "pricing": pricing_form(offer.pricing),
        "context_length": offer.context_length,
        "is_free": offer.is_free,
        "health": {"status": health.of_model(offer.provider, offer.native_id).status},
    }


def _recommendation(offers: Sequence[Offer]) -> dict[str, Any] | None:
    """The cheapest known price, and what it saves against the dearest. None where no price is known."""
    cheapest = cheapest_of(offers)
    if cheapest is None or cheapest.pricing.prompt is None:
        return None
    dearest = max(offer.pricing.prompt for offer in offers if offer.pricing.prompt is not None)
    saved = 1 - cheapest.pricing.prompt / dearest if dearest else 0
    return {
        "gateway": cheapest.provider,
        "reason": "lowest known prompt price",
        "prompt_price": plain(cheapest.pricing.prompt),
        "saves_share": round(float(saved), 4),
    }


def _provider_form(snapshot: Snapshot, slug: str, configured: Collection[str], health: Told) -> dict[str, Any]:
    record = snapshot.providers[slug]
    return {
        "slug": slug,
        "name": record.name,
        "is_configured": slug in configured,
        "models": len(snapshot.by_provider.get(slug, ())),
        "changed_at": record.changed_at,
        "health": {"status": health.status_of(slug)},
    }
