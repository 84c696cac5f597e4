"""What the requests of one key ask of Redis, packed once: nothing of it changes but the request's own numbers."""

from gatewayz.cache.redis_scripts import Form, RedisScripts
from gatewayz.core.ids import ApiKeyId
from gatewayz.limits import scripts
from gatewayz.limits.model import Ask, PurseName
from gatewayz.limits.plan import Plan, planned
from gatewayz.limits.redis_keys import RedisKeys
from gatewayz.limits.window import MICROSECONDS

_MOST = 50_000


class Forms:
    """Of one key under its limits. `admit` lacks request, tokens and hold; `settle` lacks request, the time at which it
    was admitted, tokens beyond those reserved, tranche and what goes back. Those that are `paid` name the purse too.
    None: Redis has nothing to do. `leases`: the sets of running requests.
    """

    __slots__ = ("_ask", "admit", "admit_paid", "leases", "plan", "settle", "settle_paid")

    def __init__(self, redis: RedisScripts, keys: RedisKeys, ask: Ask, *, lease: int) -> None:
        self._ask = ask
        self.plan: Plan = planned(ask.limits)
        account, key = ask.account_id, ask.key_id
        windows = [keys.window(account, key, each.subject, each.seconds) for each in self.plan.windows]
        reserving = [name for name, each in zip(windows, self.plan.windows, strict=True) if each.tokens is not None]
        self.leases = tuple(keys.running(account, key, limit.subject) for limit in self.plan.running)
        purse = keys.purse(PurseName(account, ask.purse))
        rules = _rules(self.plan, lease)
        spans = [each.seconds * MICROSECONDS for each in self.plan.windows if each.tokens is not None]

        def form(text: str, names: list[str], arguments: list[int], rest: int) -> Form | None:
            return redis.form(text, names, arguments, rest=rest) if names else None

        def admit(*more: str) -> Form | None:
            return form(scripts.ADMIT, [*windows, *self.leases, *more], rules, 3)

        def settle(*more: str) -> Form | None:
            return form(scripts.SETTLE, [*reserving, *self.leases, *more], [len(spans), *spans], 5)

        self.admit, self.admit_paid = admit(), admit(purse)
        self.settle, self.settle_paid = settle(), settle(purse)

    def to_admit(self, ask: Ask) -> Form:
        """Of a request that is counted."""
        form = self.admit_paid if ask.hold > 0 else self.admit
        assert form is not None  # noqa: S101  it has limits, or a hold
        return form

    def are_of(self, ask: Ask) -> bool:
        """Limits by identity: they are those of a value that the cache holds, and comparing them would cost more."""
        mine = self._ask
        return ask.limits is mine.limits and ask.account_id == mine.account_id and ask.purse == mine.purse


class KnownForms:
    """Of the keys that were used."""

    def __init__(self, redis: RedisScripts, keys: RedisKeys, *, lease: int) -> None:
        self._redis = redis
        self._keys = keys
        self._lease = lease
        self._known: dict[ApiKeyId, Forms] = {}

    def of(self, ask: Ask) -> Forms:
        found = self._known.get(ask.key_id)
        if found is None or not found.are_of(ask):
            if len(self._known) >= _MOST:
                self._known.clear()
            found = self._known[ask.key_id] = Forms(self._redis, self._keys, ask, lease=self._lease)
        return found


def _rules(plan: Plan, lease: int) -> list[int]:
    rules = [lease, len(plan.windows)]
    for each in plan.windows:
        rules += (each.seconds * MICROSECONDS, each.most_requests, each.most_tokens)
    return rules + [limit.amount for limit in plan.running]
