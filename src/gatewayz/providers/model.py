"""A provider as a value: what there is to know about it before it is asked anything."""

from collections.abc import Mapping
from decimal import Decimal

from msgspec import Struct

from gatewayz.providers.auth import BEARER, Auth
from gatewayz.providers.listing import ListedModel
from gatewayz.providers.shapes.form import Shape


class Paging(Struct, frozen=True):
    """How to ask for the next page of a list.

    The value at `cursor` in a page goes into `parameter` of the next request; there is none if it is absent,
    or where `more` is named and holds no true. `fixed` parameters go with every page.
    """

    parameter: str
    cursor: str
    more: str | None = None
    fixed: Mapping[str, str] = {}


class ListSource(Struct, frozen=True, kw_only=True):
    """Where the model list is had: `path` follows the base URL or is a whole URL. `deadline`: seconds."""

    path: str = "/models"
    shape: Shape
    paging: Paging | None = None
    needs_key: bool = True
    deadline: float = 30.0


class CachePriceShare(Struct, frozen=True):
    """What the provider's own prompt cache costs, as a share of the prompt price, if no list prices it."""

    read: Decimal | None = None
    write: Decimal | None = None


class Provider(Struct, frozen=True, kw_only=True):
    """One entry of the table.

    `base_url` may hold placeholders, `{account}`, which `url_variables` fills from the environment.
    `key_variables`: the environment variables that may hold the key, the first that is set counts.
    `aliases`: other names for the same provider, as price data and environment variables use them.
    `models`: what it offers where there is no list to fetch.
    `read_timeout`: seconds between two bytes of an answer.
    `dialect`: a name in dialects/table.py.
    `on_by_default`: it is on as soon as it has the key it needs; else settings must name it.
    """

    slug: str
    name: str
    base_url: str | None
    key_variables: tuple[str, ...] = ()
    url_variables: Mapping[str, str] = {}
    dialect: str = "openai"
    auth: Auth = BEARER
    headers: Mapping[str, str] = {}
    listing: ListSource | None = None
    models: tuple[ListedModel, ...] = ()
    aliases: tuple[str, ...] = ()
    cache_price_share: CachePriceShare = CachePriceShare()
    read_timeout: float = 120.0
    needs_key: bool = True
    on_by_default: bool = True
