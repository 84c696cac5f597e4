"""Which limits hold for a key or an account now, read through the cache."""

from gatewayz.accounts.limit_names import limits_of
from gatewayz.accounts.model import Account
from gatewayz.accounts.repository import PLAN, RATE_LIMIT
from gatewayz.cache.cache import Cache
from gatewayz.core.clock import Clock
from gatewayz.core.ids import ApiKeyId
from gatewayz.core.limit import Limit, Subject


class EffectiveLimits:
    def __init__(self, cache: Cache, clock: Clock) -> None:
        self._cache = cache
        self._clock = clock

    async def of_key(self, key_id: ApiKeyId) -> tuple[Limit, ...]:
        """Its own, and beside them its account's. None for a key that is not there."""
        found = await self._cache.get(RATE_LIMIT, key_id)
        return found.at(self._clock.now()) if found is not None else ()

    async def of_account(self, account: Account) -> tuple[Limit, ...]:
        """Its plan's, each replaced by its own of the same name."""
        plan_id = account.plan_at(self._clock.now())
        plan = await self._cache.get(PLAN, plan_id) if plan_id is not None else None
        return limits_of(Subject.ACCOUNT, plan.limits if plan is not None else (), account.limits)
