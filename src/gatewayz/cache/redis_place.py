"""The Redis that the settings name, whatever it is made of."""

from collections.abc import Callable

from msgspec import Struct
from redis.asyncio import Redis

from gatewayz.cache.cluster_nodes import Cluster
from gatewayz.cache.connection import ANSWER_WITHIN, CONNECT_WITHIN, connect
from gatewayz.cache.nodes import Several
from gatewayz.cache.redis_lines import Client, ClusterLocation, Lines, Located, MovingLines, OneLine
from gatewayz.cache.redis_url import Address, Kind, RedisUrl, redis_url
from gatewayz.cache.sentinels import Sentinels
from gatewayz.cache.wire.endpoint import Dial, dial_like

_CHANNEL = "gw:ping"


class RedisPlace(Struct, frozen=True):
    """`over` is for the cache's own connections, `lines` are for all else. `close` ends the latter."""

    kind: Kind
    over: Redis | Dial | Several
    lines: Lines
    sentinels: Sentinels | None = None

    async def ping(self) -> None:
        """Raises RedisError or OSError."""
        await (await self.lines.home(_CHANNEL)).ping()

    async def seen(self) -> str:
        """Who answers. Raises RedisError or OSError."""
        client = await self.lines.find(_CHANNEL)
        facts = await client.info("server")
        name, version = ("Valkey", facts.get("valkey_version")) if "valkey_version" in facts else ("Redis", None)
        return f"{name} {version or facts.get('redis_version')}, {_SHOWN[self.kind]}"

    async def memory(self) -> tuple[int, int]:
        """Bytes that the server uses, and those that it may: where it has no bound, its host's. Of one server of
        several. Raises RedisError or OSError.
        """
        facts = await (await self.lines.home(_CHANNEL)).info("memory")
        return int(facts["used_memory"]), int(facts.get("maxmemory") or facts.get("total_system_memory") or 0)

    async def close(self) -> None:
        await self.lines.close()
        if self.sentinels is not None:
            await self.sentinels.close()


_SHOWN = {Kind.ONE: "one server", Kind.CLUSTER: "a cluster", Kind.SENTINEL: "the primary that Sentinel names"}


def redis_place(
    url: str,
    *,
    password: str | None = None,
    max_connections: int = 32,
    connect_timeout: float = CONNECT_WITHIN,
    socket_timeout: float = ANSWER_WITHIN,
) -> RedisPlace:
    """Nothing is opened before the first command. Options as those of `connect`. Raises ValueError for a URL that names
    no Redis.
    """

    def client(at: str, password: str | None = password) -> Redis:
        return connect(
            at,
            password=password,
            max_connections=max_connections,
            connect_timeout=connect_timeout,
            socket_timeout=socket_timeout,
        )

    named = redis_url(url)
    if named.kind is Kind.ONE:
        redis = client(named.whole)
        return RedisPlace(Kind.ONE, redis, OneLine(redis))
    like = dial_like(client(named.at(named.addresses[0])))  # never connected

    def at(address: Address) -> Redis:
        return client(named.at(address))

    if named.kind is Kind.CLUSTER:
        lines = MovingLines(ClusterLocation(named.addresses), at)
        return RedisPlace(Kind.CLUSTER, Cluster(named.addresses, like), lines)
    return _watched_over(named, client, like, at)


def _watched_over(
    named: RedisUrl, client: Callable[[str, None], Redis], like: Dial, at: Client
) -> RedisPlace:  # fmt: skip
    watching = [client(named.sentinel_at(address), None) for address in named.addresses]
    sentinels = Sentinels(watching, named.service, like)

    async def locate(_channel: str, _client: Client) -> Located:
        return Located(await sentinels.primary())

    return RedisPlace(Kind.SENTINEL, sentinels.dial, MovingLines(locate, at), sentinels)
