"""Plain clients of the servers of one Redis, for what workers tell each other: where to speak, and who hears it."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol, TypeAlias

from msgspec import Struct
from redis.asyncio import Redis
from redis.crc import key_slot
from redis.exceptions import ConnectionError as RedisUnreachable
from redis.exceptions import RedisError

from gatewayz.cache.redis_url import Address


class Lines(Protocol):
    may_move: bool

    async def find(self, channel: str) -> Redis:
        """Where to listen and to speak, looked for anew. Raises RedisError or OSError."""
        ...

    async def home(self, channel: str) -> Redis:
        """As found last."""
        ...

    async def receivers(self, channel: str, here: int) -> int:
        """How many may have heard what was just published, `here` of them at its home. Raises RedisError or OSError
        where that cannot be told.
        """
        ...

    def forget(self) -> None:
        """It did not answer: find it anew the next time."""
        ...

    async def close(self) -> None: ...


class OneLine:
    may_move = False

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def find(self, channel: str) -> Redis:  # noqa: ARG002  there is one
        return self._redis

    async def home(self, channel: str) -> Redis:  # noqa: ARG002  there is one
        return self._redis

    async def receivers(self, channel: str, here: int) -> int:  # noqa: ARG002  all are there
        return here

    def forget(self) -> None:
        """There is no other."""

    async def close(self) -> None:
        await self._redis.aclose()


class Located(Struct, frozen=True):
    """`home` has the channel; `others` pass on what is published there."""

    home: Address
    others: tuple[Address, ...] = ()


Client: TypeAlias = Callable[[Address], Redis]
Locate: TypeAlias = Callable[[str, Client], Awaitable[Located]]


class MovingLines:
    """Where `locate` says. In a cluster a message reaches those who listen at any server, but its sender learns only
    how many listen at his: so the others are counted, too.
    """

    may_move = True

    def __init__(self, locate: Locate, client: Client) -> None:
        self._locate = locate
        self._client = client
        self._clients: dict[Address, Redis] = {}
        self._located: Located | None = None

    async def find(self, channel: str) -> Redis:
        self._located = located = await self._locate(channel, self._at)
        return self._at(located.home)

    async def home(self, channel: str) -> Redis:
        return await self.find(channel) if self._located is None else self._at(self._located.home)

    async def receivers(self, channel: str, here: int) -> int:
        if self._located is None:
            raise RedisUnreachable("it is not known where to count")
        counts = [self._at(each).pubsub_numsub(channel) for each in self._located.others]
        return here + sum(int(count) for ((_, count),) in await asyncio.gather(*counts))

    def forget(self) -> None:
        self._located = None

    async def close(self) -> None:
        for client in self._clients.values():
            await client.aclose()

    def _at(self, address: Address) -> Redis:
        if address not in self._clients:
            self._clients[address] = self._client(address)
        return self._clients[address]


class ClusterLocation:
    """A channel's home is the primary that has the slot of its name."""

    def __init__(self, seeds: Sequence[Address]) -> None:
        self._seeds = seeds
        self._known: tuple[Address, ...] = ()

    async def __call__(self, channel: str, at: Client) -> Located:
        slot = key_slot(channel.encode())
        for address in dict.fromkeys((*self._known, *self._seeds)):
            try:
                info = await at(address).cluster("INFO")
                ranges = await at(address).cluster("SLOTS")
            except (RedisError, OSError):
                continue
            if info["cluster_state"] == "ok" and (located := _located(ranges, slot, address[0])) is not None:
                self._known = (located.home, *located.others)
                return located
        raise RedisUnreachable("no server of the cluster tells who has what; see that it is up")


def _located(ranges: Sequence[Sequence[object]], slot: int, asked: str) -> Located | None:
    home: Address | None = None
    servers: dict[Address, None] = {}
    for first, last, *replicated in ranges:
        addresses = [_address(each, asked) for each in replicated]
        servers.update(dict.fromkeys(addresses))
        if int(str(first)) <= slot <= int(str(last)):
            home = addresses[0]
    if home is None:
        return None
    servers.pop(home)
    return Located(home, tuple(servers))


def _address(server: object, asked: str) -> Address:
    assert isinstance(server, list)  # noqa: S101
    host, port, *_ = server
    name = host.decode() if isinstance(host, bytes) else str(host or "")
    return asked if name in ("", "?") else name, int(port)
