"""What is to be done with a request for vectors: each of its texts has an entry of its own."""

from collections.abc import Iterable
from typing import Any

from msgspec import Struct

from gatewayz.responses.canonical import NoCanonicalForm, canonical, written
from gatewayz.responses.config import ResponsesConfig
from gatewayz.responses.controls import DEFAULT, Controls, controls_of
from gatewayz.responses.fields import VECTORS
from gatewayz.responses.key import ResponseKeys, Tenant
from gatewayz.responses.plan import why_not_at_all
from gatewayz.responses.reasons import Reason
from gatewayz.responses.repository import tags_of

_READ_TOGETHER = ("late_chunking",)
"""Fields that make each text's vector depend on the other texts."""


class ItemsPlan(Struct, frozen=True, kw_only=True):
    """`keys`: of the items in their order, equal where they are; none for a request that has nothing to do with the
    cache, `why_not` for which reason. `ttl`: seconds for which a vector is good.
    """

    controls: Controls = DEFAULT
    keys: tuple[str, ...] = ()
    why_not: Reason | None = None
    tags: tuple[str, ...] = ()
    ttl: float = 0.0


class ItemsPlans:
    """Makes plans. `ttl`: seconds for which a vector is good where the request does not say."""

    def __init__(self, keys: ResponseKeys, config: ResponsesConfig, *, ttl: float) -> None:
        self._keys = keys
        self._config = config
        self._ttl = ttl

    def of(self, tenant: Tenant, fields: dict[str, Any] | None, headers: Iterable[tuple[bytes, bytes]]) -> ItemsPlan:
        """As Plans.of."""
        if fields is None:
            return ItemsPlan(controls=controls_of(headers, None), why_not=Reason.UNREADABLE)
        controls = controls_of(headers, fields.get("cache"))
        why_not = why_not_at_all(self._config, controls) or _why_not_apart(fields)
        if why_not is not None:
            return ItemsPlan(controls=controls, why_not=why_not)
        try:
            form, items = canonical(fields, VECTORS), [written(item) for item in items_of(fields["input"])]
        except NoCanonicalForm:
            return ItemsPlan(controls=controls, why_not=Reason.UNREADABLE)
        return ItemsPlan(
            controls=controls,
            keys=self._keys.of_each(tenant, form, items, namespace=controls.namespace),
            tags=tags_of(tenant, fields["model"], controls.tags),
            ttl=self._ttl if controls.ttl is None else controls.ttl,
        )


def items_of(given: str | list[Any]) -> list[Any]:
    """One text, or one as numbers of its tokens, or a list of either."""
    return [given] if isinstance(given, str) or isinstance(given[0], int) else given


def _why_not_apart(fields: dict[str, Any]) -> Reason | None:
    """Why items cannot be asked for one by one. A vector by another model has no place beside those of this one."""
    if any(fields.get(name) for name in _READ_TOGETHER):
        return Reason.READ_TOGETHER
    if fields.get("models"):
        return Reason.FALLBACKS
    kinds = {type(item) for item in items_of(fields["input"])}
    # A number left over from a mixed list would be a text of one token.
    return None if len(kinds) == 1 and kinds <= {str, list, dict} else Reason.UNREADABLE
