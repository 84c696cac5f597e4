"""The URLs that name a Redis: one server, those of a cluster, or the Sentinels that watch over it.

redis://user:password@host:6379/0              rediss:// with TLS, unix:///path for a socket
redis+cluster://user:password@a:6379,b:6379    rediss+cluster:// with TLS
redis+sentinel://user:password@a:26379,b:26379/service/0?sentinel_password=…
"""

from enum import StrEnum
from typing import TypeAlias
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

from msgspec import Struct

Address: TypeAlias = tuple[str, int]

_PORTS = {"one": 6379, "cluster": 6379, "sentinel": 26379}


class Kind(StrEnum):
    ONE = "one"
    CLUSTER = "cluster"
    SENTINEL = "sentinel"


class RedisUrl(Struct, frozen=True, kw_only=True):
    """`whole` is the URL of a single server. `service` is what the Sentinels call theirs."""

    kind: Kind
    whole: str = ""
    scheme: str = "redis"
    credentials: str = ""
    sentinel_credentials: str = ""
    addresses: tuple[Address, ...] = ()
    service: str = ""
    database: int = 0
    query: str = ""

    def at(self, address: Address) -> str:
        """The URL of one server of several."""
        return self._of(address, self.credentials, self.database)

    def sentinel_at(self, address: Address) -> str:
        return self._of(address, self.sentinel_credentials, 0)

    def _of(self, address: Address, credentials: str, database: int) -> str:
        host, port = address
        shown = f"[{host}]" if ":" in host else host
        signed = f"{credentials}@" if credentials else ""
        query = f"?{self.query}" if self.query else ""
        return f"{self.scheme}://{signed}{shown}:{port}/{database}{query}"


def redis_url(text: str) -> RedisUrl:
    """Raises ValueError, without the URL in it, which may hold a password."""
    parts = urlsplit(text)
    scheme, _, kind = parts.scheme.partition("+")
    if not kind and scheme in ("redis", "rediss", "unix"):
        return RedisUrl(kind=Kind.ONE, whole=text)
    if kind not in (Kind.CLUSTER, Kind.SENTINEL) or scheme not in ("redis", "rediss"):
        raise ValueError(
            "must be a URL such as redis://:password@host:6379/0, rediss://…, unix:///path, "
            "redis+cluster://host:6379,host:6379 or redis+sentinel://host:26379,host:26379/service/0"
        )
    credentials, _, hosts = parts.netloc.rpartition("@")
    path = [unquote(each) for each in parts.path.strip("/").split("/") if each]
    options = dict(parse_qsl(parts.query))
    service = path.pop(0) if kind == Kind.SENTINEL and path else ""
    if kind == Kind.SENTINEL and not service:
        raise ValueError("must name the service after the hosts, as in redis+sentinel://host:26379/mymaster/0")
    database = _database(path)
    if kind == Kind.CLUSTER and database:
        raise ValueError("must name no database but 0: a cluster has no other")
    return RedisUrl(
        kind=Kind(kind),
        scheme=scheme,
        credentials=credentials,
        sentinel_credentials=_credentials(options.pop("sentinel_username", ""), options.pop("sentinel_password", "")),
        addresses=tuple(_address(each, _PORTS[kind]) for each in hosts.split(",")),
        service=service,
        database=database,
        query=urlencode(options),
    )


def _credentials(user: str, password: str) -> str:
    return f"{quote(user, safe='')}:{quote(password, safe='')}" if password else ""


def _database(path: list[str]) -> int:
    if not path:
        return 0
    if len(path) > 1 or not path[0].isdigit():
        raise ValueError(f"must end with the number of a database, not with {'/'.join(path)!r}")
    return int(path[0])


def _address(text: str, port: int) -> Address:
    host, colon, given = text.rpartition(":")
    if not colon or text.endswith("]"):
        host, given = text, str(port)
    if not host or not given.isdigit() or not 0 < int(given) < 65_536:
        raise ValueError(f"must have host:port for each server, separated by commas, not {text!r}")
    return host.strip("[]"), int(given)
