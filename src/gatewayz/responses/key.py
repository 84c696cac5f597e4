"""Under what an answer is kept: nobody without the installation's secret can tell of which request it is."""

import hmac
from collections.abc import Iterable
from enum import StrEnum

import msgspec
from msgspec import Struct

from gatewayz.core.ids import AccountId, ApiKeyId

VERSION = 1
"""Of the rules by which answers are found and kept: to be raised when an answer kept by the former may be wrong."""


class Sharing(StrEnum):
    """Who may read what a request has brought."""

    ACCOUNT = "account"
    KEY = "key"


class Tenant(Struct, frozen=True):
    """Whose request it is."""

    account_id: AccountId
    key_id: ApiKeyId


class ResponseKeys:
    """`secret`: at least 16 bytes that all workers share."""

    def __init__(self, secret: bytes, sharing: Sharing) -> None:
        self._keyed = hmac.new(secret, digestmod="sha256")  # copied for each key, which is faster than one made anew
        self._sharing = sharing

    def of(self, tenant: Tenant, canonical: bytes, *, namespace: str = "", bucket: int = 0) -> str:
        """The key of a request's answer, `scope:digest`. `namespace` and `bucket` set apart what would be one entry."""
        scope, digest = self._begun(tenant, canonical, namespace, bucket)
        return f"{scope}:{digest.hexdigest()}"

    def of_each(
        self, tenant: Tenant, canonical: bytes, items: Iterable[bytes], *, namespace: str = ""
    ) -> tuple[str, ...]:  # fmt: skip
        """The keys of what is answered item by item. `canonical`: what the items have in common."""
        scope, begun = self._begun(tenant, canonical, namespace, 0)
        keys = []
        for item in items:
            digest = begun.copy()
            digest.update(item)
            keys.append(f"{scope}:{digest.hexdigest()}")
        return tuple(keys)

    def _begun(self, tenant: Tenant, canonical: bytes, namespace: str, bucket: int) -> tuple[str, hmac.HMAC]:
        scope = f"key-{tenant.key_id}" if self._sharing is Sharing.KEY else f"account-{tenant.account_id}"
        digest = self._keyed.copy()
        digest.update(msgspec.json.encode([VERSION, scope, namespace, bucket]))
        digest.update(canonical)
        return scope, digest

    def __repr__(self) -> str:
        return f"ResponseKeys(…, {self._sharing!r})"
