"""From what a client shows to who it is: recognised in this worker's memory, with no I/O where the key is known."""

from collections import Counter
from collections.abc import Callable
from functools import lru_cache
from ipaddress import ip_address, ip_network
from typing import Literal, TypeAlias

from gatewayz.accounts.digest import KeyDigester
from gatewayz.accounts.errors import invalid_key
from gatewayz.accounts.model import Principal
from gatewayz.accounts.repository import API_KEY
from gatewayz.accounts.secret import LONGEST_KEY, is_genuine
from gatewayz.accounts.strangers import Strangers
from gatewayz.cache.cache import Cache
from gatewayz.core.clock import Clock
from gatewayz.core.errors import AddressNotAllowed, ModelNotAllowed, ScopeMissing, TooManyUnknownKeys
from gatewayz.core.ids import KeyDigest

Address: TypeAlias = Callable[[], str | None]
"""Tells from where the client asks; None where that is unknown."""


REFUSALS = ("missing", "malformed", "made_up", "unknown", "expired", "scope", "network", "flood")
"""Why a request is refused: it shows no key, one that is too long, one whose checksum is wrong, one that is nobody's or
not any more; the key has ended, lacks the scope, may not be used from there; too many unknown ones are tried.
"""


class Authentication:
    """`refused` counts by REFUSALS."""

    def __init__(self, cache: Cache, digester: KeyDigester, clock: Clock, strangers: Strangers) -> None:
        self._cache = cache
        self._digester = digester
        self._clock = clock
        self._strangers = strangers
        self.refused: Counter[str] = Counter()

    async def authenticate(self, secret: str, scope: str | None = None, address: Address | None = None) -> Principal:
        """The principal of a valid key that has the scope, if one is asked for, and may be used from where the client
        is: `address` is asked for keys that are bound to networks, which nobody may use without it. `secret` is empty
        where none is shown.

        Raises InvalidApiKey, ScopeMissing, AddressNotAllowed or TooManyUnknownKeys; LoadFailed where nobody can tell,
        which is never a refusal.
        """
        if not secret or len(secret) > LONGEST_KEY:
            self.refused["malformed" if secret else "missing"] += 1
            raise invalid_key()
        digest = self._digester.digest(secret)
        principal = self._cache.peek(API_KEY, digest)
        if principal is None:
            principal = await self._find(secret, digest)
        return self._admit(principal, scope, address)

    async def recognise(self, digest: KeyDigest, scope: str | None = None, address: Address | None = None) -> Principal:
        """The same for whoever showed the key before, and proves that. Raises the same."""
        return self._admit(await self._cache.get(API_KEY, digest), scope, address)

    def _admit(self, principal: Principal | None, scope: str | None, address: Address | None) -> Principal:
        now = self._clock.now()
        if principal is None:
            raise invalid_key()
        if (fault := _fault(principal, scope, now)) is not None:
            self.refused[fault] += 1
        if fault == "expired":
            raise invalid_key()
        if fault == "scope":
            raise ScopeMissing(f"this API key lacks the scope {scope!r}; use one that was made with it")
        if principal.networks:
            self._check_address(principal, address() if address is not None else None)
        return principal.at(now)

    def known(self, secret: str, scope: str) -> Principal | None:
        """What `authenticate` would say, for a key that may be used from everywhere, if this worker's memory has it;
        None says nothing.
        """
        if not secret or len(secret) > LONGEST_KEY:
            return None
        principal = self._cache.peek(API_KEY, self._digester.digest(secret))
        now = self._clock.now()
        if principal is None or principal.networks or _fault(principal, scope, now) is not None:
            return None
        return principal.at(now)

    async def _find(self, secret: str, digest: KeyDigest) -> Principal | None:
        if self._cache.remembers_absence(API_KEY, digest):
            self.refused["unknown"] += 1
            return None
        genuine = is_genuine(self._digester, secret)
        if genuine is False:
            self.refused["made_up"] += 1
            return None
        principal = await (self._cache.get(API_KEY, digest) if genuine else self._find_stranger(digest))
        if principal is None:
            self.refused["unknown"] += 1
        return principal

    async def _find_stranger(self, digest: KeyDigest) -> Principal | None:
        try:
            async with self._strangers.turn(digest):
                principal = await self._cache.get(API_KEY, digest)
        except TooManyUnknownKeys:
            self.refused["flood"] += 1
            raise
        self._strangers.found(digest, is_good=principal is not None)
        return principal

    def _check_address(self, principal: Principal, address: str | None) -> None:
        if address is None or not _is_within(principal.networks, address):
            self.refused["network"] += 1
            raise AddressNotAllowed(
                f"this API key may not be used from {address or 'an unknown address'}; its networks are set where the "
                "key is managed"
            )


def _fault(principal: Principal, scope: str | None, now: float) -> Literal["expired", "scope"] | None:
    """Why the key will not do, from wherever it is used; a word of REFUSALS."""
    if principal.expires_at is not None and principal.expires_at <= now:
        return "expired"
    if scope is not None and scope not in principal.scopes:
        return "scope"
    return None


def authorize_model(principal: Principal, model: str) -> None:
    """Raises ModelNotAllowed where the key may not ask for the model, named by its public id. Case does not matter."""
    if not principal.models:
        return
    asked = model.lower()
    for allowed in principal.models:
        pattern = allowed.lower()
        if asked == pattern or (pattern.endswith("/*") and asked.startswith(pattern[:-1])):
            return
    raise ModelNotAllowed(
        f"this API key may not use the model {model[:200]!r}, only {', '.join(principal.models[:10])}"
        f"{' and others' if len(principal.models) > 10 else ''}",
        param="model",
    )


# Reading addresses takes longer than all else of a warm authentication.
@lru_cache(maxsize=4096)
def _is_within(networks: tuple[str, ...], address: str) -> bool:
    try:
        found = ip_address(address)
    except ValueError:
        return False
    return any(found in ip_network(network) for network in networks)
