"""What a Redis server does with commands: keys, expiry, scripts, and client-side caching in its default mode, as
Redis 6.2 and 7 have them. Knows no network and no time of its own.
"""

import hashlib
from collections.abc import Callable, Sequence

from msgspec import Struct

from tests.simulation.lua import lua
from tests.simulation.replies import OK, Refusal, Reply, Status

Value = bytes | dict[bytes, bytes]

WRONG_TYPE = "WRONGTYPE Operation against a key holding the wrong kind of value"
FULL = "OOM command not allowed when used memory > 'maxmemory'."


class Client:
    """One connection as the server knows it. `push` is called for each key that it read and that has changed."""

    def __init__(self, push: Callable[[bytes | None], None]) -> None:
        self.push = push
        self.is_tracking = False
        self.has_noloop = False


class Command(Struct, frozen=True):
    """`keys`: how many of the arguments are keys, -1 for all. `grows`: refused while the server is full."""

    run: "Callable[[RedisServer, list[bytes]], Reply]"
    reads: bool = False
    writes: bool = False
    grows: bool = False
    keys: int = 1


class RedisServer:
    """`now` gives Unix seconds. `is_full`: as with maxmemory reached and noeviction."""

    def __init__(self, now: Callable[[], float]) -> None:
        self.now = now
        self.data: dict[bytes, Value] = {}
        self.expires: dict[bytes, int] = {}
        self.readers: dict[bytes, dict[Client, None]] = {}
        self.clients: dict[Client, None] = {}
        self.scripts: dict[bytes, str] = {}
        self.is_full = False
        self.history = 1
        self.commands = 0
        self._current: Client | None = None
        self._script_keys: Sequence[bytes] | None = None
        self._has_written = False

    def milliseconds(self) -> int:
        return int(self.now() * 1000)

    def execute(self, client: Client, command: list[bytes]) -> Reply:
        """The reply; a refusal is one."""
        self.commands += 1
        self._current = client
        try:
            return self._run(command)
        except Refusal as refusal:
            return refusal
        finally:
            self._current = None

    def forget(self, client: Client) -> None:
        """It is disconnected."""
        self.clients.pop(client, None)
        for readers in self.readers.values():
            readers.pop(client, None)

    def evict(self, key: bytes) -> None:
        """As for room, or because its time is over."""
        if key in self.data:
            self._delete(key)

    def flush(self) -> None:
        self.data.clear()
        self.expires.clear()
        self.readers.clear()
        for client in self.clients:
            if client.is_tracking:
                client.push(None)

    def restart(self) -> None:
        """Empty, with nobody connected, knowing no script, and under another replication id."""
        self.history += 1
        for state in (self.data, self.expires, self.readers, self.clients, self.scripts):
            state.clear()

    def is_expired(self, key: bytes) -> bool:
        until = self.expires.get(key)
        return until is not None and self.milliseconds() > until

    def _run(self, command: list[bytes]) -> Reply:
        name = command[0].upper()
        if name in _OF_CONNECTION:
            return _OF_CONNECTION[name](self, command[1:])
        known = _COMMANDS.get(name)
        if known is None:
            raise Refusal(f"ERR unknown command '{command[0].decode()}', with args beginning with: ")
        if known.grows and self.is_full and not self._has_written:
            raise Refusal(FULL)
        if known.writes and self._script_keys is not None:
            self._has_written = True
        try:
            return known.run(self, command[1:])
        finally:
            if known.reads:
                self._remember(command, known)

    def _remember(self, command: list[bytes], known: Command) -> None:
        """Scripts that read anything have all of their keys remembered."""
        client = self._current
        if client is not None and client.is_tracking:
            own = command[1:] if known.keys < 0 else command[1 : 1 + known.keys]
            for key in own if self._script_keys is None else self._script_keys:
                self.readers.setdefault(key, {})[client] = None

    def _changed(self, key: bytes) -> None:
        """Tell all who have read the key, and forget them: also the one who changes it and is not told."""
        for client in self.readers.pop(key, ()):
            if not (client.has_noloop and client is self._current):
                client.push(key)

    def _delete(self, key: bytes) -> None:
        del self.data[key]
        self.expires.pop(key, None)
        self._changed(key)

    def _look(self, key: bytes) -> Value | None:
        if key in self.expires and self.is_expired(key):
            self._delete(key)
        return self.data.get(key)

    def _text(self, key: bytes) -> bytes | None:
        value = self._look(key)
        if isinstance(value, dict):
            raise Refusal(WRONG_TYPE)
        return value

    def _hash(self, key: bytes) -> dict[bytes, bytes]:
        value = self._look(key)
        if isinstance(value, bytes):
            raise Refusal(WRONG_TYPE)
        return {} if value is None else value

    def _get(self, arguments: list[bytes]) -> Reply:
        return self._text(arguments[0])

    def _mget(self, arguments: list[bytes]) -> Reply:
        found = [self._look(key) for key in arguments]
        return [value if isinstance(value, bytes) else None for value in found]

    def _set(self, arguments: list[bytes]) -> Reply:
        key, value, *options = arguments
        named = [option.upper() for option in options]
        before = self._look(key)
        if (b"NX" in named and before is not None) or (b"XX" in named and before is None):
            return None
        self.data[key] = value
        self.expires.pop(key, None)
        if b"PX" in named:
            self.expires[key] = self.milliseconds() + int(options[named.index(b"PX") + 1])
        self._changed(key)
        return OK

    def _incrby(self, arguments: list[bytes]) -> Reply:
        key = arguments[0]
        by = int(arguments[1]) if len(arguments) > 1 else 1
        try:
            value = int(self._text(key) or b"0") + by
        except ValueError as error:
            raise Refusal("ERR value is not an integer or out of range") from error
        self.data[key] = b"%d" % value
        self._changed(key)
        return value

    def _del(self, arguments: list[bytes]) -> Reply:
        there = [key for key in arguments if self._look(key) is not None]
        for key in there:
            if key in self.data:
                self._delete(key)
        return len(there)

    def _exists(self, arguments: list[bytes]) -> Reply:
        return sum(self._look(key) is not None for key in arguments)

    def _pexpire(self, arguments: list[bytes]) -> Reply:
        key, milliseconds = arguments[0], int(float(arguments[1]))
        if self._look(key) is None:
            return 0
        if milliseconds <= 0:
            self._delete(key)
            return 1
        self.expires[key] = self.milliseconds() + milliseconds
        self._changed(key)
        return 1

    def _pttl(self, arguments: list[bytes]) -> Reply:
        if self._look(arguments[0]) is None:
            return -2
        until = self.expires.get(arguments[0])
        return -1 if until is None else max(0, until - self.milliseconds())

    def _hget(self, arguments: list[bytes]) -> Reply:
        return self._hash(arguments[0]).get(arguments[1])

    def _hmget(self, arguments: list[bytes]) -> Reply:
        fields = self._hash(arguments[0])
        return [fields.get(name) for name in arguments[1:]]

    def _hgetall(self, arguments: list[bytes]) -> Reply:
        return [each for pair in self._hash(arguments[0]).items() for each in pair]

    def _hset(self, arguments: list[bytes]) -> Reply:
        key, *pairs = arguments
        fields = self._hash(key)
        before = len(fields)
        fields.update(zip(pairs[::2], pairs[1::2], strict=True))
        self.data[key] = fields
        self._changed(key)
        return len(fields) - before

    def _hdel(self, arguments: list[bytes]) -> Reply:
        key, *names = arguments
        fields = self._hash(key)
        gone = sum(fields.pop(name, None) is not None for name in names)
        if gone and fields:
            self._changed(key)
        elif gone:
            self._delete(key)
        return gone

    def _time(self, _arguments: list[bytes]) -> Reply:
        seconds, micros = divmod(round(self.now() * 1_000_000), 1_000_000)
        return [b"%d" % seconds, b"%d" % micros]

    def _flushall(self, _arguments: list[bytes]) -> Reply:
        self.flush()
        return OK

    def _eval(self, arguments: list[bytes]) -> Reply:
        text = arguments[0].decode()
        self.scripts[hashlib.sha1(arguments[0], usedforsecurity=False).hexdigest().encode()] = text
        return self._script(text, arguments[1:])

    def _evalsha(self, arguments: list[bytes]) -> Reply:
        text = self.scripts.get(arguments[0].lower())
        if text is None:
            raise Refusal("NOSCRIPT No matching script. Please use EVAL.")
        return self._script(text, arguments[1:])

    def _script(self, text: str, arguments: list[bytes]) -> Reply:
        last = 1 + int(arguments[0])
        self._script_keys, self._has_written = arguments[1:last], False
        try:
            return lua().run(text, arguments[1:last], arguments[last:], self._run)
        finally:
            self._script_keys, self._has_written = None, False

    def _hello(self, _arguments: list[bytes]) -> Reply:
        return {b"server": b"redis", b"proto": 3, b"role": b"master"}

    def _info(self, _arguments: list[bytes]) -> Reply:
        return b"# Replication\r\nrole:master\r\nmaster_replid:%040d\r\n" % self.history

    def _client(self, arguments: list[bytes]) -> Reply:
        if arguments[0].upper() == b"TRACKING":
            client = self._current
            assert client is not None
            client.is_tracking = arguments[1].upper() == b"ON"
            client.has_noloop = b"NOLOOP" in [each.upper() for each in arguments]
            self.clients[client] = None
        return OK


_OF_CONNECTION: dict[bytes, Callable[[RedisServer, list[bytes]], Reply]] = {
    b"HELLO": RedisServer._hello,
    b"CLIENT": RedisServer._client,
    b"INFO": RedisServer._info,
    b"AUTH": lambda _server, _arguments: OK,
    b"SELECT": lambda _server, _arguments: OK,
    b"PING": lambda _server, _arguments: Status(b"PONG"),
    b"EVAL": RedisServer._eval,
    b"EVALSHA": RedisServer._evalsha,
}

_COMMANDS = {
    b"GET": Command(RedisServer._get, reads=True),
    b"MGET": Command(RedisServer._mget, reads=True, keys=-1),
    b"SET": Command(RedisServer._set, writes=True, grows=True),
    b"INCR": Command(RedisServer._incrby, writes=True, grows=True),
    b"INCRBY": Command(RedisServer._incrby, writes=True, grows=True),
    b"DEL": Command(RedisServer._del, writes=True, keys=-1),
    b"EXISTS": Command(RedisServer._exists, reads=True, keys=-1),
    b"PEXPIRE": Command(RedisServer._pexpire, writes=True),
    b"PTTL": Command(RedisServer._pttl, reads=True),
    b"HGET": Command(RedisServer._hget, reads=True),
    b"HMGET": Command(RedisServer._hmget, reads=True),
    b"HGETALL": Command(RedisServer._hgetall, reads=True),
    b"HSET": Command(RedisServer._hset, writes=True, grows=True),
    b"HDEL": Command(RedisServer._hdel, writes=True),
    b"TIME": Command(RedisServer._time, keys=0),
    b"FLUSHALL": Command(RedisServer._flushall, writes=True, keys=0),
}
