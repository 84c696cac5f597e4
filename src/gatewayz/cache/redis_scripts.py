"""Scripts of others than the cache, run on the same Redis over connections of their own, as the cache's are."""

import random
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any

from redis.asyncio import Redis

from gatewayz.cache import scripts
from gatewayz.cache.breaker import BreakerState
from gatewayz.cache.calls import Calls
from gatewayz.cache.clock import Clock
from gatewayz.cache.nodes import Several, reached
from gatewayz.cache.wire.endpoint import Dial
from gatewayz.cache.wire.exchange import Command, Packed, pack

PROBED_WITHIN = 0.035

_COUNT = len(b"*1\r\n")
"""Bytes before the first argument of a packed command that has fewer than ten."""


class Form:
    """A script with its keys and its first arguments, packed once. Each call adds the `rest`, 1 to 9 arguments, which
    the script finds last in ARGV.
    """

    __slots__ = ("_head", "_rest", "key")

    def __init__(self, sha: str, keys: Sequence[str], arguments: Sequence[str | int], rest: int) -> None:
        named: Command = ("EVALSHA", sha, len(keys), *keys, *arguments)
        _, _, parts = pack(named).partition(b"\r\n")
        self._head = b"*%d\r\n" % (len(named) + rest) + parts
        self._rest = rest
        self.key = keys[0]

    def filled(self, rest: Command) -> Packed:
        if len(rest) != self._rest:
            raise ValueError(f"the form lacks {self._rest} arguments, not {len(rest)}")
        return self._head + pack(rest)[_COUNT:]


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

    def form(self, text: str, keys: Sequence[str], arguments: Sequence[str | int], *, rest: int) -> Form:
        """For `ask` and `post`, to be made once and used often."""
        return Form(self._sha_of[text], keys, arguments, rest)

    async def run(
        self, text: str, keys: Sequence[str], arguments: Iterable[str | bytes | int], *, within: float
    ) -> Any | None:  # noqa: ANN401  whatever the script says
        """What the script says, or None where it cannot be told within so many seconds: it may have run."""
        command: Command = ("EVALSHA", self._sha_of[text], len(keys), *keys, *arguments)
        return await self._calls.ask(self._nodes.of(keys[0]), command, within)

    def ask(self, form: Form, rest: Command, *, within: float) -> Awaitable[Any | None]:
        """As `run`."""
        return self._calls.ask(self._nodes.of(form.key), form.filled(rest), within)

    def hear(self, form: Form, rest: Command, told: Callable[[Any | None], None], *, within: float) -> None:
        """As `run`, without a coroutine: `told` is called with what it would return, inside the parser, or at once."""

        def heard(replies: list[Any] | None, _order: int) -> None:
            told(None if replies is None else replies[0])

        self._calls.post(self._nodes.of(form.key), [form.filled(rest)], within, heard)

    def post(self, form: Form, rest: Command, *, within: float) -> None:
        """Run it without anybody waiting; nobody is told whether it has run."""
        self._calls.post(self._nodes.of(form.key), [form.filled(rest)], within, _unheard)


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
