"""A primary and its replica on the loopback, watched over by three Sentinels, which act when the test says so."""

import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from redis.exceptions import RedisError

from tests.support.redis_cluster import eventually
from tests.support.redis_programs import RedisProgram
from tests.support.redis_server import RedisServer

SERVICE = "mymaster"
_WATCHES = f"""sentinel monitor {SERVICE} 127.0.0.1 {{port}} 2
sentinel down-after-milliseconds {SERVICE} 30000
sentinel failover-timeout {SERVICE} 10000
"""


class Watched:
    def __init__(self, program: RedisProgram, directory: Path) -> None:
        self._program = program
        self._directory = directory
        self.primary = RedisServer(program, directory, {"repl-diskless-sync-delay": 0})
        self.replica = RedisServer(program, directory, {"repl-diskless-sync-delay": 0})
        watches = _WATCHES.format(port=self.primary.port)
        self.sentinels = [RedisServer(program, directory, {}, watches=watches) for _ in range(3)]

    @property
    def url(self) -> str:
        hosts = ",".join(f"127.0.0.1:{sentinel.port}" for sentinel in self.sentinels)
        return f"redis+sentinel://{hosts}/{SERVICE}/0"

    async def start(self) -> None:
        await self.primary.start()
        await self.replica.start()
        await self.replica.ask("REPLICAOF", *self.primary.address)
        await asyncio.gather(*(sentinel.start() for sentinel in self.sentinels))
        await eventually(self.is_ready)

    async def is_ready(self) -> bool:
        """Whether every Sentinel knows the others and the replica, which is in step."""
        for sentinel in self.sentinels:
            state = await sentinel.watched(SERVICE)
            if int(state["num-other-sentinels"]) < 2 or int(state["num-slaves"]) < 1:
                return False
        link = await self.replica.admin.info("replication")
        return bool(link["master_link_status"] == "up")

    async def fail_over(self) -> None:
        """Returns when all Sentinels name the replica."""

        async def is_begun() -> bool:
            try:
                await self.sentinels[0].ask("SENTINEL", "FAILOVER", SERVICE)
            except RedisError as error:
                return "INPROG" in str(error)
            return True

        await eventually(is_begun)
        await eventually(self.is_over)

    async def is_over(self) -> bool:
        for sentinel in self.sentinels:
            state = await sentinel.watched(SERVICE)
            if int(state["port"]) != self.replica.port:
                return False
        return True

    async def close(self) -> None:
        for server in (*self.sentinels, self.replica, self.primary):
            await server.close()


@asynccontextmanager
async def watched_by_sentinels(program: RedisProgram) -> AsyncIterator[Watched]:
    with tempfile.TemporaryDirectory(prefix="gwz-", dir="/tmp") as directory:
        servers = Watched(program, Path(directory))
        try:
            await servers.start()
            yield servers
        finally:
            await servers.close()
