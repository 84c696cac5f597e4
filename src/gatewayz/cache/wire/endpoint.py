"""Where a wire leads, and as whom. URLs, certificates and credentials are read by redis-py."""

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from msgspec import Struct
from redis.asyncio import Redis
from redis.asyncio.connection import Connection, SSLConnection, UnixDomainSocketConnection
from redis.credentials import UsernamePasswordCredentialProvider

from gatewayz.cache.wire.exchange import Command
from gatewayz.cache.wire.link import Link

CONNECT_WITHIN = 0.050
ANSWER_WITHIN = 0.250


class Endpoint(Struct, frozen=True, kw_only=True):
    """`path` is a unix socket's and comes before host and port. `credentials`: user and password, password alone, or
    nothing. Seconds.
    """

    host: str = "localhost"
    port: int = 6379
    path: str | None = None
    tls: ssl.SSLContext | None = None
    credentials: tuple[str, ...] = ()
    db: int = 0
    connect_within: float = CONNECT_WITHIN
    answer_within: float = ANSWER_WITHIN

    def is_at(self, other: "Endpoint") -> bool:
        return (self.host, self.port, self.path) == (other.host, other.port, other.path)

    def greeting(self, name: str) -> list[Command]:
        """What the server must accept before anything else is asked."""
        auth: Command = ()
        if self.credentials:
            auth = ("AUTH", *self.credentials) if len(self.credentials) == 2 else ("AUTH", "default", *self.credentials)
        hello: Command = ("HELLO", 3, *auth, "SETNAME", name)
        return [hello, ("SELECT", self.db)] if self.db else [hello]

    async def connect(self, make: Callable[[], Link]) -> Link:
        """Raises OSError, TimeoutError among them."""
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(self.connect_within):
            if self.path is not None:
                _, link = await loop.create_unix_connection(make, self.path)
            else:
                _, link = await loop.create_connection(make, self.host, self.port, ssl=self.tls)
        return link


Dial: TypeAlias = Callable[[], Awaitable[Endpoint]]
"""Asked before each attempt, so that it may answer another node after a failover."""


def dial_like(redis: Redis) -> Dial:
    """Leads where this client's own connections lead."""

    async def dial() -> Endpoint:
        pool = redis.connection_pool
        like = pool.connection_class(**pool.connection_kwargs)  # made for what it has read; never connected
        provider = like.credential_provider or UsernamePasswordCredentialProvider(like.username, like.password)
        return Endpoint(
            host=like.host if isinstance(like, Connection) else "",
            port=int(like.port) if isinstance(like, Connection) else 0,
            path=like.path if isinstance(like, UnixDomainSocketConnection) else None,
            tls=like.ssl_context.get() if isinstance(like, SSLConnection) else None,
            credentials=tuple(part for part in await provider.get_credentials_async() if part),
            db=int(like.db),
            connect_within=like.socket_connect_timeout or CONNECT_WITHIN,
            answer_within=like.socket_timeout or ANSWER_WITHIN,
        )

    return dial
