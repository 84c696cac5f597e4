"""What is to be done with one request, as far as it tells by itself; and whether an answer that is kept will do."""

import math
import random
from collections.abc import Iterable
from enum import Enum
from typing import Any, Protocol

from msgspec import Struct

from gatewayz.responses.canonical import NoCanonicalForm, canonical
from gatewayz.responses.config import ResponsesConfig
from gatewayz.responses.controls import DEFAULT, Controls, controls_of
from gatewayz.responses.eligibility import why_not_looked_up
from gatewayz.responses.key import ResponseKeys, Tenant
from gatewayz.responses.reasons import Reason
from gatewayz.responses.repository import tags_of


class Plan(Struct, frozen=True, kw_only=True):
    """`key`: under which its answer is, and None for a request that has nothing to do with the cache, `why_not` for
    which reason. `choices`: how many answers it asks for. `ttl`: seconds for which its answer is good.
    """

    controls: Controls = DEFAULT
    key: str | None = None
    why_not: Reason | None = None
    tags: tuple[str, ...] = ()
    choices: int = 1
    ttl: float = 0.0

    @property
    def is_shared(self) -> bool:
        """Whether it may have the answer of another request that is under way, and others its own."""
        return self.controls.may_read and self.controls.may_store


class Plans:
    """Makes plans. `ttl`: seconds for which an answer is good where the request does not say."""

    def __init__(self, keys: ResponseKeys, config: ResponsesConfig, *, ttl: float, rng: random.Random) -> None:
        self._keys = keys
        self._config = config
        self._ttl = ttl
        self._rng = rng

    def of(self, tenant: Tenant, fields: dict[str, Any] | None, headers: Iterable[tuple[bytes, bytes]]) -> Plan:
        """`fields`: as `canonical.decoded` gives them, None for a request that it cannot read. Raises InvalidRequest
        for controls that are none.
        """
        if fields is None:
            return Plan(controls=controls_of(headers, None), why_not=Reason.UNREADABLE)
        controls = controls_of(headers, fields.get("cache"))
        why_not = why_not_at_all(self._config, controls)
        why_not = why_not or why_not_looked_up(fields, controls, most_temperature=self._config.max_temperature)
        if why_not is not None:
            return Plan(controls=controls, why_not=why_not)
        try:
            form = canonical(fields)
        except NoCanonicalForm:
            return Plan(controls=controls, why_not=Reason.UNREADABLE)
        bucket = self._rng.randrange(controls.buckets) if controls.buckets > 1 else 0
        choices = fields.get("n")
        return Plan(
            controls=controls,
            key=self._keys.of(tenant, form, namespace=controls.namespace, bucket=bucket),
            tags=tags_of(tenant, fields["model"], controls.tags),
            choices=choices if isinstance(choices, int) else 1,
            ttl=self._ttl if controls.ttl is None else controls.ttl,
        )


def why_not_at_all(config: ResponsesConfig, controls: Controls) -> Reason | None:
    """Why a request has nothing to do with the cache, whatever it asks for."""
    if not config.enabled:
        return Reason.DISABLED
    return None if controls.may_read or controls.may_store else Reason.NO_STORE


class Dated(Protocol):
    """What is kept. Seconds: since when (Unix), and for how long it is good."""

    @property
    def created(self) -> float: ...
    @property
    def ttl(self) -> float: ...


class Use(Enum):
    """`IF_ERROR`: only where nobody else answers. `NONE`: not at all."""

    FRESH = "fresh"
    STALE = "stale"
    IF_ERROR = "if error"
    NONE = "none"


def use_of(entry: Dated, controls: Controls, now: float) -> Use:
    """What the caller lets us do with an answer of this age."""
    late = now - entry.created - min(entry.ttl, math.inf if controls.max_age is None else controls.max_age)
    if late <= 0:
        return Use.FRESH
    if controls.max_stale is not None and late <= controls.max_stale:
        return Use.STALE
    if controls.stale_if_error is not None and late <= controls.stale_if_error:
        return Use.IF_ERROR
    return Use.NONE
