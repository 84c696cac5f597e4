"""Where in Redis is what counts for an account: under its hash tag, so that one script reaches all of it."""

from gatewayz.core.ids import AccountId, ApiKeyId
from gatewayz.core.limit import Subject
from gatewayz.limits.model import PurseName


class RedisKeys:
    """`prefix` of all."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix

    def window(self, account: AccountId, key: ApiKeyId, subject: Subject, seconds: int) -> str:
        return f"{self._of(account)}{_who(key, subject)}:{seconds}"

    def running(self, account: AccountId, key: ApiKeyId, subject: Subject) -> str:
        return f"{self._of(account)}{_who(key, subject)}:running"

    def purse(self, name: PurseName) -> str:
        return f"{self._of(name.account_id)}{name.key_id or 'account'}:purse"

    def _of(self, account: AccountId) -> str:
        return f"{self._prefix}{{{account}}}:"


def _who(key: ApiKeyId, subject: Subject) -> str:
    return key if subject is Subject.KEY else "account"
