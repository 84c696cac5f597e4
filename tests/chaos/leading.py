"""What a leader and its followers both want."""

from typing import Protocol

from gatewayz.cache.budgets import Budgets
from gatewayz.cache.entity import Entity, Policy


class Loads(Protocol):
    async def load(self, key: str) -> int: ...


async def load(source: Loads, key: str) -> int:
    return await source.load(key)


LED: Entity[str, int] = Entity(name="chaos:led", value=int, load=load, policy=Policy(fresh=300))
PATIENT = Budgets(answer=5, large=5, lease=2)  # this is about leases, on a machine that may stall
