"""A real Redis Cluster on the loopback: three primaries, each with a replica."""

import asyncio
import functools
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from redis.asyncio import Redis
from redis.crc import key_slot
from redis.exceptions import RedisError

from gatewayz.cache.cluster_nodes import Cluster
from gatewayz.cache.cluster_view import SLOTS
from gatewayz.cache.wire.endpoint import Endpoint
from tests.support.redis_programs import RedisProgram
from tests.support.redis_server import READY_WITHIN, RedisServer

_LOOK_AGAIN = 0.02
_SETTINGS: dict[str, str | int] = {
    "cluster-enabled": "yes",
    "cluster-config-file": "nodes.conf",
    "cluster-node-timeout": 15_000,  # no failover but those of the test: a slow machine stalls
    "cluster-require-full-coverage": "no",
    "repl-diskless-sync": "yes",
    "repl-diskless-sync-delay": 0,
}


class RedisCluster:
    def __init__(self, program: RedisProgram, directory: Path) -> None:
        self.servers = [RedisServer(program, directory, _SETTINGS) for _ in range(6)]
        self.primaries = self.servers[:3]
        self.replicas = dict(zip(self.primaries, self.servers[3:], strict=True))
        self._ids: dict[RedisServer, str] = {}

    async def start(self) -> None:
        await asyncio.gather(*(server.start() for server in self.servers))
        first = self.servers[0]
        for number, server in enumerate(self.servers):
            self._ids[server] = (await server.ask("CLUSTER MYID")).decode()
            await server.ask("CLUSTER SET-CONFIG-EPOCH", number + 1)
        for server in self.servers[1:]:
            await server.ask("CLUSTER MEET", *first.address)
        for number, server in enumerate(self.primaries):
            slots = range(SLOTS * number // 3, SLOTS * (number + 1) // 3)
            await server.ask("CLUSTER ADDSLOTS", *slots)
        for primary, replica in self.replicas.items():
            await self._accepted(replica, "CLUSTER REPLICATE", self._ids[primary])
        for server in self.servers:
            await eventually(functools.partial(self._agrees, server))
        for replica in self.replicas.values():
            await eventually(functools.partial(_is_synced, replica.admin))

    def reach(self, *seeds: RedisServer) -> Cluster:
        async def like() -> Endpoint:
            return Endpoint(connect_within=5, answer_within=5)

        return Cluster(tuple(server.address for server in seeds or self.primaries), like)

    def primary_of(self, key: str) -> RedisServer:
        """As at the beginning."""
        return self.primaries[next(n for n in range(3) if key_slot(key.encode()) < SLOTS * (n + 1) // 3)]

    async def promote(self, replica: RedisServer) -> None:
        """Without asking the others, of which the primary may be dead. All that run know it then."""
        await replica.ask("CLUSTER FAILOVER", "TAKEOVER")
        for server in self.servers:
            if server.is_running:
                await eventually(functools.partial(self._leads, server, replica))

    async def begin_moving(self, slot: int, source: RedisServer, target: RedisServer) -> None:
        await target.ask("CLUSTER SETSLOT", slot, "IMPORTING", self._ids[source])
        await source.ask("CLUSTER SETSLOT", slot, "MIGRATING", self._ids[target])

    async def move_keys(self, slot: int, source: RedisServer, target: RedisServer) -> None:
        while keys := await source.ask("CLUSTER GETKEYSINSLOT", slot, 10):
            await source.ask("MIGRATE", *target.address, "", 0, 10_000, "KEYS", *keys)

    async def end_moving(self, slot: int, source: RedisServer, target: RedisServer) -> None:
        """The others hear of it from the target."""
        for server in (target, source):
            await server.ask("CLUSTER SETSLOT", slot, "NODE", self._ids[target])

    async def move(self, slot: int, source: RedisServer, target: RedisServer) -> None:
        await self.begin_moving(slot, source, target)
        await self.move_keys(slot, source, target)
        await self.end_moving(slot, source, target)

    async def close(self) -> None:
        for server in self.servers:
            await server.close()

    async def _accepted(self, server: RedisServer, *command: str) -> None:
        async def is_accepted() -> bool:
            try:
                await server.ask(*command)
            except RedisError:  # it has not met that one yet
                return False
            return True

        await eventually(is_accepted)

    async def _agrees(self, server: RedisServer) -> bool:
        info = await server.admin.cluster("INFO")
        slots = await server.admin.cluster("SLOTS")
        return info["cluster_state"] == "ok" and len(slots) == 3

    async def _leads(self, server: RedisServer, leader: RedisServer) -> bool:
        slots = await server.admin.cluster("SLOTS")
        return any(each[2][1] == leader.port for each in slots)


async def _is_synced(replica: Redis) -> bool:
    return bool((await replica.info("replication"))["master_link_status"] == "up")


async def eventually(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(READY_WITHIN):
        while not await condition():  # noqa: ASYNC110  it happens in other processes
            await asyncio.sleep(_LOOK_AGAIN)


@asynccontextmanager
async def redis_cluster(program: RedisProgram) -> AsyncIterator[RedisCluster]:
    with tempfile.TemporaryDirectory(prefix="gwz-", dir="/tmp") as directory:
        cluster = RedisCluster(program, Path(directory))
        try:
            await cluster.start()
            yield cluster
        finally:
            await cluster.close()
