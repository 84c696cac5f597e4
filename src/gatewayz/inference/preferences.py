"""Which providers a request wants, and which models instead of its own: the fields `provider` and `models`."""

from collections.abc import Collection, Mapping
from decimal import Decimal
from typing import Literal, TypeVar

import msgspec
from msgspec import Struct

from gatewayz.core.errors import InvalidRequest
from gatewayz.core.nearest import hint

T = TypeVar("T")

Sort = Literal["price", "latency", "throughput"]

MOST_MODELS = 8
_PER_MILLION = 1_000_000


class MaxPrice(Struct, frozen=True, forbid_unknown_fields=True):
    """US dollars for a million tokens; `request`, `image` for each."""

    prompt: Decimal | None = None
    completion: Decimal | None = None
    request: Decimal | None = None
    image: Decimal | None = None

    def per_token(self, kind: str) -> Decimal | None:
        most: Decimal | None = getattr(self, kind)
        return most / _PER_MILLION if most is not None and kind in {"prompt", "completion"} else most


class ProviderPreferences(Struct, frozen=True, forbid_unknown_fields=True):
    """`order`: these first, in this order. `only`, `ignore`: the others are not asked, these are not. Without
    `allow_fallbacks` the first is the only one.
    """

    order: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    sort: Sort = "price"
    max_price: MaxPrice = MaxPrice()
    allow_fallbacks: bool = True


class Preferences(Struct, frozen=True):
    """`models`: to be tried after the one that is asked for, in this order."""

    providers: ProviderPreferences = ProviderPreferences()
    models: tuple[str, ...] = ()


NONE = Preferences()


def preferences_of(body: Mapping[str, msgspec.Raw], known: Collection[str]) -> Preferences:
    """`known`: the slugs of all providers. Raises InvalidRequest that names the field."""
    wanted, models = body.get("provider"), body.get("models")
    if wanted is None and models is None:
        return NONE
    providers = _read(wanted, ProviderPreferences, "provider") or ProviderPreferences()
    for field in ("order", "only", "ignore"):
        for slug in getattr(providers, field):
            check_slug(slug, f"provider.{field}", known)
    fallbacks: tuple[str, ...] = _read(models, tuple[str, ...], "models") or ()
    if len(fallbacks) > MOST_MODELS:
        raise InvalidRequest(f"'models' may name {MOST_MODELS} models, not {len(fallbacks)}", param="models")
    return Preferences(providers, fallbacks)


def _read(raw: msgspec.Raw | None, kind: type[T], field: str) -> T | None:
    try:
        return msgspec.json.decode(raw, type=kind | None) if raw is not None else None
    except msgspec.ValidationError as error:
        where, path = str(error).partition(" - at `$")[::2]
        name = field + path.strip("`")
        raise InvalidRequest(f"{name!r} is not what it should be: {where}", param=name) from error


def check_slug(slug: str, field: str, known: Collection[str]) -> None:
    """Raises InvalidRequest that names the field, and the nearest slug that there is."""
    if slug in known:
        return
    nearest = hint(slug, known, otherwise="GET /v1/providers lists them")
    raise InvalidRequest(f"{field!r} names {slug[:80]!r}, which is no provider; {nearest}", param=field)
