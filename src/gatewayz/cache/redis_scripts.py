"""Scripts of others than the cache, run on the same Redis over connections of their own, as the cache's are."""

import random
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from redis.asyncio import Redis

from gatewayz.cache import scripts
from gatewayz.cache.breaker import BreakerState
from gatewayz.cache.calls import Calls
from gatewayz.cache.clock import Clock
from gatewayz.cache.nodes import Several, reached
from gatewayz.cache.wire.endpoint import Dial
from gatewayz.cache.wire.exchange import Command

PROBED_WITHIN = 0.035


class RedisScripts:
    """`texts` are all that will ever be run. All keys of one script must be of one slot.

    A script runs once or not at all: what may have run is never sent again. Whatever Redis does, no caller sees an
    error: the answer is None. A server that is too slow is passed by until it answers again.
    """

    def __init__(
        self, redis: Redis | Dial | Several, texts: Iterable[str], *, clock: Clock, rng: random.Random
    ) -> None:
        self._sha_of = {text: scripts.sha_of(text) for text in texts}
        by_sha = {sha: text for text, sha in self._sha_of.items()}
        self._nodes = reached(redis, _Deaf(), clock=clock, rng=rng, texts=by_sha)
        self._calls = Calls(self._nodes, probe_within=PROBED_WITHIN)

    def open(self) -> None:
        """Connect in the background; otherwise the first script does."""
        self._nodes.open()

    async def close(self) -> None:
        await self._nodes.close()

    @property
    def is_passed_by(self) -> bool:
        """Whether some server is left alone at present."""
        return self._calls.state is not BreakerState.CLOSED

    def sha(self, text: str) -> str:
        return self._sha_of[text]

    async def run(self, text: str, keys: Sequence[str], arguments: Iterable[str | int], *, within: float) -> Any | None:  # noqa: ANN401  whatever the script says
        """What the script says, or None where it cannot be told within so many seconds: it may have run."""
        command: Command = ("EVALSHA", self._sha_of[text], len(keys), *keys, *arguments)
        heard = await self._calls.run(self._nodes.of(keys[0]), [command], within)
        return heard.replies[0] if heard is not None else None

    def post(self, text: str, keys: Sequence[str], arguments: Iterable[str | int], *, within: float) -> None:
        """Run it without anybody waiting; nobody is told whether it has run."""
        command: Command = ("EVALSHA", self._sha_of[text], len(keys), *keys, *arguments)
        self._calls.post(self._nodes.of(keys[0]), [command], within, _unheard)


class _Deaf:
    """Keeps nothing in memory that a change could concern."""

    wants_changes = False

    def pushed(self, push: list[Any]) -> None:
        pass

    def missed(self) -> None:
        pass

    def repeated(self, is_there: Callable[[str], bool]) -> list[Command]:  # noqa: ARG002  there is nothing
        return []

    def confirmed(self) -> None:
        pass


def _unheard(_replies: list[Any] | None, _order: int) -> None:
    """Nobody waits."""
