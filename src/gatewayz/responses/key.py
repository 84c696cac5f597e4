"""Under what an answer is kept: nobody without the installation's secret can tell of which request it is."""

import hmac
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
        scope = f"key-{tenant.key_id}" if self._sharing is Sharing.KEY else f"account-{tenant.account_id}"
        head = msgspec.json.encode([VERSION, scope, namespace, bucket])
        digest = self._keyed.copy()
        digest.update(head)
        digest.update(canonical)
        return f"{scope}:{digest.hexdigest()}"

    def __repr__(self) -> str:
        return f"ResponseKeys(…, {self._sharing!r})"
