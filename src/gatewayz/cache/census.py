"""How much of each entity stands in Redis: estimated from keys drawn at random, as to count them would mean a scan."""

from collections import defaultdict
from collections.abc import Iterable, Sequence

from msgspec import Struct

from gatewayz.cache.calls import Calls
from gatewayz.cache.nodes import Node
from gatewayz.cache.redis_keys import RedisKeys

DRAWN = 200
"""Keys from each server. Of an entity that has a tenth of all keys, the estimate is off by a fifth now and then."""


class Share(Struct, frozen=True):
    """Estimated. `bytes` with all that Redis needs to keep them; None where it does not tell that."""

    entries: int
    bytes: int | None


class Census(Struct, frozen=True):
    """`keys`: all that the servers hold, of whomever; that is exact. `drawn`: from so many the shares are estimated,
    which are by the entity's name; one of which no key was drawn has none.
    """

    keys: int
    drawn: int
    shares: dict[str, Share]


class _Drawn(Struct, frozen=True):
    """What one server says. `found`: for each key that was drawn the name of its entity and its bytes."""

    keys: int
    found: Sequence[tuple[str | None, int | None]]


class Censuses:
    """`names`: of the entities. `budget`: seconds for each of the two rounds with a server."""

    def __init__(self, calls: Calls, keys: RedisKeys, names: Iterable[str], budget: float) -> None:
        self._calls = calls
        self._keys = keys
        self._names = frozenset(names)
        self._budget = budget

    async def take(self) -> Census | None:
        """None where a server does not answer."""
        servers = []
        for node in list(self._calls.nodes.known()):
            drawn = await self._draw(node)
            if drawn is None:
                return None
            servers.append(drawn)
        return Census(sum(each.keys for each in servers), sum(len(each.found) for each in servers), _shares(servers))

    async def _draw(self, node: Node) -> _Drawn | None:
        heard = await self._calls.run(node, [("DBSIZE",), *[("RANDOMKEY",)] * DRAWN], self._budget, over=node.bulk)
        if heard is None or heard.replies[0] is None:
            return None
        size, *replies = heard.replies
        drawn = [key for key in replies if key is not None]
        if not drawn:
            return _Drawn(size, ())
        weighing = [("MEMORY", "USAGE", key) for key in drawn]
        heard = await self._calls.run(node, weighing, self._budget, over=node.bulk)
        if heard is None:
            return None
        return _Drawn(size, [(self._entity_of(key), bytes_) for key, bytes_ in zip(drawn, heard.replies, strict=True)])

    def _entity_of(self, key: bytes) -> str | None:
        """None for what is no value of this cache."""
        if not self._keys.is_ours(key):
            return None
        return next((target.name for target in self._keys.targets(key) if target.name in self._names), None)


def _shares(servers: Iterable[_Drawn]) -> dict[str, Share]:
    entries, weights = defaultdict[str, float](float), defaultdict[str, float](float)
    for server in servers:
        for name, weight in server.found:
            if name is not None:
                stands_for = server.keys / len(server.found)
                entries[name] += stands_for
                weights[name] += stands_for * (weight or 0)
    return {name: Share(round(count), round(weights[name]) or None) for name, count in sorted(entries.items())}
