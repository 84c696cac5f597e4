"""Every interleaving of a few readers and a few writes of one key: small steps, with the real scripts in between.

A reader asks by READ; what Redis sends him comes in order and is taken one by one, inside the parser. With a lease he
reads the source, then FILLs, and only a turn after the reply he puts the value into memory. A writer commits, and later
INVALIDATEs. Nodes are whole states, so that each is looked at once, however many histories lead there.
"""

from collections.abc import Iterator
from typing import NamedTuple

from msgspec import Struct

from gatewayz.cache import scripts
from tests.simulation.redis import Client, RedisServer
from tests.simulation.replies import Reply

KEY = b"k"
ALIVE = b"1:"
LASTS = b"1000000000000"
NEVER = -1
VALUE_PARTS = 4
"""A reply to READ that has a value has so many parts."""

Fields = tuple[tuple[bytes, bytes], ...] | None
Message = tuple[Reply, ...] | None
"""What Redis sends: a reply, or None for 'your key has changed'."""


class Rules(Struct, frozen=True, kw_only=True):
    """The protocol is what the defaults say; everything else takes a fence out. `lag`: by how many versions what is
    loaded may be behind, though not behind the floor, if that `is_heeded`.
    """

    name: str
    fill: str = scripts.FILL
    is_ordered: bool = True
    is_put_in_parser: bool = True
    lag: int = 0
    is_heeded: bool = True


class Size(Struct, frozen=True, kw_only=True):
    """`expiries`: leases that end before their holder is done. `evictions`: of the key. `deaths`: of readers."""

    readers: int
    writes: int
    reads: int = 1
    expiries: int = 0
    evictions: int = 0
    deaths: int = 0


class Reader(NamedTuple):
    """`step`: idle, asked, waits, loads, fills, filling, lands, dead. `memory` is a version. `pushes` is used where the
    connection is not ordered.
    """

    step: str
    left: int
    memory: int = NEVER
    inbox: tuple[Message, ...] = ()
    pushes: int = 0
    generation: bytes = b""
    stamp: bytes = b""
    floor: int = 0
    loaded: int = NEVER
    is_changed: bool = False
    attempts: int = 0


class State(NamedTuple):
    version: int
    uncommitted: int
    pending: int
    expiries: int
    evictions: int
    deaths: int
    time: int
    fields: Fields
    tracking: frozenset[int]
    readers: tuple[Reader, ...]


class Found(Struct, frozen=True):
    """`stale`: ends with an older version in a memory or in Redis, of which nobody will be told. `hung`: ends with a
    reader who waits.
    """

    states: int
    ends: int
    stale: int
    hung: int


class Search:
    def __init__(self, rules: Rules, size: Size) -> None:
        self._rules = rules
        self._size = size
        self._known: dict[tuple[object, ...], tuple[Fields, frozenset[int], Reply, tuple[int, ...]]] = {}

    def run(self) -> Found:
        size = self._size
        first = State(
            0, size.writes, 0, size.expiries, size.evictions, size.deaths, 0, None, frozenset(),
            (Reader("idle", size.reads),) * size.readers,
        )  # fmt: skip
        seen, ahead = {first}, [first]
        ends = stale = hung = 0
        while ahead:
            state = ahead.pop()
            is_end = True
            for following in self._following(state):
                is_end = False
                if following not in seen:
                    seen.add(following)
                    ahead.append(following)
            if is_end:
                ends += 1
                stale += _is_stale(state)
                hung += any(reader.step not in {"idle", "dead"} for reader in state.readers)
        return Found(len(seen), ends, stale, hung)

    def _following(self, state: State) -> Iterator[State]:
        if state.uncommitted:
            yield state._replace(
                version=state.version + 1, uncommitted=state.uncommitted - 1, pending=state.pending + 1
            )
        if state.pending:
            floor = state.version - state.pending + 1  # of the oldest that is not told yet
            after = state._replace(pending=state.pending - 1, time=state.time + 1)
            yield self._ran(after, NEVER, scripts.INVALIDATE, LASTS, b"%d" % floor)[0]
        if state.evictions and state.fields is not None:
            after = state._replace(evictions=state.evictions - 1, time=state.time + 1)
            yield _told(after, state.tracking, fields=None, tracking=frozenset())
        if state.expiries and _lease(state.fields):
            yield _lease_over(state)._replace(expiries=state.expiries - 1)
        for index, reader in enumerate(state.readers):
            yield from self._steps(state, index, reader)
            if state.deaths and reader.step in {"loads", "fills"}:
                yield _died(state, index)

    def _steps(self, state: State, index: int, reader: Reader) -> Iterator[State]:
        if reader.step == "idle" and reader.left:
            yield self._asked(state, index)
        elif reader.step == "waits" and not _lease(state.fields):
            yield _with(state, index, reader._replace(step="idle"))  # its timer
        elif reader.step == "loads":
            floor = reader.floor if self._rules.is_heeded else 0
            for version in range(max(floor, state.version - self._rules.lag), state.version + 1):
                yield _with(state, index, reader._replace(step="fills", loaded=version))
        elif reader.step == "fills":
            yield self._filled(state, index, reader)
        elif reader.step in {"lands", "late"}:
            yield _with(state, index, _landed(reader))
        if reader.inbox and reader.step != "late":
            message, rest = reader.inbox[0], reader._replace(inbox=reader.inbox[1:])
            yield _with(state, index, _changed(rest) if message is None else self._taken(rest, message))
        if reader.inbox and reader.step == "late" and reader.inbox[0] is None:
            yield _with(state, index, _changed(reader._replace(inbox=reader.inbox[1:])))
        if reader.pushes:
            yield _with(state, index, reader._replace(pushes=reader.pushes - 1, memory=NEVER))

    def _asked(self, state: State, index: int) -> State:
        token = b"%d" % index
        after, reply = self._ran(state, index, scripts.READ, b"", b"", token, LASTS, LASTS, b"0", b"")
        parts = reply.split(b" ", 3) if isinstance(reply, bytes) else reply
        assert isinstance(parts, list)
        return _sent(after, index, tuple(parts), step="asked", is_changed=False)

    def _filled(self, state: State, index: int, reader: Reader) -> State:
        stamp = ALIVE + b"%d.%d.%d" % (index, reader.left, reader.attempts)
        value = b"%d" % reader.loaded
        arguments = (reader.generation, reader.stamp, stamp, value, LASTS)
        after, reply = self._ran(state, index, self._rules.fill, *arguments)
        return _sent(after, index, (reply,), step="filling")

    def _taken(self, reader: Reader, reply: tuple[Reply, ...]) -> Reader:
        """A reply, in the parser."""
        if reader.step == "filling":
            return reader._replace(step="lands" if reply[0] == b"filled" else "idle", is_changed=False)._replace(
                left=reader.left if reply[0] == b"filled" else _left_after_refusal(reader),
                attempts=reader.attempts + 1,
            )
        if len(reply) == VALUE_PARTS:
            value = reply[3]
            assert isinstance(value, bytes)
            if self._rules.is_put_in_parser:
                return reader._replace(step="idle", left=reader.left - 1, memory=int(value))
            return reader._replace(step="late", loaded=int(value))
        generation, stamp, _rubbish, held, _microseconds, floor, *_ = reply
        assert isinstance(generation, bytes)
        assert isinstance(stamp, bytes)
        assert isinstance(floor, bytes)
        if held == -1:
            leased = reader._replace(step="loads", generation=generation, stamp=stamp, is_changed=False)
            return leased._replace(floor=int(floor) if self._rules.lag else 0)
        return reader._replace(step="waits")

    def _ran(self, state: State, index: int, script: str, *arguments: bytes) -> tuple[State, Reply]:
        """The state after a script was run in Redis, by a reader or by a writer (NEVER), and what Redis answered."""
        known = (state.fields, state.tracking, state.time, index, script, arguments)
        result = self._known.get(known)
        if result is None:
            result = self._known[known] = _run(state, index, script, arguments)
        fields, tracking, reply, told = result
        return self._delivered(state._replace(fields=fields, tracking=tracking), told), reply

    def _delivered(self, state: State, told: tuple[int, ...]) -> State:
        readers = list(state.readers)
        for index in told:
            reader = readers[index]
            if self._rules.is_ordered:
                readers[index] = reader._replace(inbox=(*reader.inbox, None))
            else:
                readers[index] = reader._replace(pushes=1)  # several do no more than one
        return state._replace(readers=tuple(readers))


def _run(
    state: State, index: int, script: str, arguments: tuple[bytes, ...]
) -> tuple[Fields, frozenset[int], Reply, tuple[int, ...]]:  # fmt: skip
    told: list[int] = []
    server = RedisServer(lambda: 1_800_000_000.0 + state.time)
    clients = {each: _client(each, told) for each in (*range(len(state.readers)), NEVER)}
    if state.fields is not None:
        server.data[KEY] = dict(state.fields)
    server.readers[KEY] = {clients[each]: None for each in sorted(state.tracking)}
    reply = server.execute(clients[index], [b"EVAL", script.encode(), b"1", KEY, *arguments])
    fields = server.data.get(KEY)
    tracking = frozenset(each for each, client in clients.items() if client in server.readers.get(KEY, ()))
    assert fields is None or isinstance(fields, dict), fields
    return None if fields is None else tuple(sorted(fields.items())), tracking, reply, tuple(told)


def _client(index: int, told: list[int]) -> Client:
    client = Client(lambda _key: told.append(index))
    client.is_tracking, client.has_noloop = index != NEVER, True
    return client


def _sent(state: State, index: int, message: Message, *, step: str, is_changed: bool | None = None) -> State:
    reader = state.readers[index]
    changed = reader.is_changed if is_changed is None else is_changed
    return _with(state, index, reader._replace(step=step, inbox=(*reader.inbox, message), is_changed=changed))


def _told(state: State, readers: frozenset[int], *, fields: Fields, tracking: frozenset[int]) -> State:
    told = tuple(
        each._replace(inbox=(*each.inbox, None)) if index in readers else each
        for index, each in enumerate(state.readers)
    )
    return state._replace(fields=fields, tracking=tracking, readers=told)


def _changed(reader: Reader) -> Reader:
    """Told of a change, in the parser: memory forgets, who waits looks again."""
    step = "idle" if reader.step == "waits" else reader.step
    return reader._replace(step=step, memory=NEVER, is_changed=True)


def _landed(reader: Reader) -> Reader:
    """A turn later: into memory, unless a change was told of since the reply."""
    if reader.step == "lands" and reader.is_changed:
        return reader._replace(step="idle", left=_left_after_refusal(reader), loaded=NEVER)
    return reader._replace(step="idle", left=reader.left - 1, memory=reader.loaded, loaded=NEVER, attempts=0)


def _left_after_refusal(reader: Reader) -> int:
    """It reads once more, and then leaves it at that."""
    return reader.left if reader.attempts == 0 else reader.left - 1


def _with(state: State, index: int, reader: Reader) -> State:
    return state._replace(readers=(*state.readers[:index], reader, *state.readers[index + 1 :]))


def _died(state: State, index: int) -> State:
    dead = _with(state, index, Reader("dead", 0))._replace(deaths=state.deaths - 1, tracking=state.tracking - {index})
    return dead._replace(expiries=dead.expiries + 1)  # the lease that it may hold ends by itself


def _lease(fields: Fields) -> bool:
    return any(name == b"d" and value != b"0" for name, value in fields or ())


def _lease_over(state: State) -> State:
    fields = tuple((name, b"0" if name == b"d" else value) for name, value in state.fields or ())
    return state._replace(fields=fields)


def _is_stale(state: State) -> bool:
    held = [int(value) for name, value in state.fields or () if name == b"v"]
    held += [reader.memory for reader in state.readers if reader.memory != NEVER]
    return any(version < state.version for version in held)


def without_compare() -> str:
    """FILL as a blind set."""
    lines = scripts.FILL.splitlines(keepends=True)
    kept = [line for line in lines if "'invalidated'" not in line and "'newer'" not in line]
    assert len(kept) == len(lines) - 2
    return "".join(kept)


PROTOCOL = Rules(name="the protocol")
LAGGING = Rules(name="the protocol over a lagging replica", lag=1)
BROKEN: tuple[Rules, ...] = (
    Rules(name="a blind set", fill=without_compare()),
    Rules(name="a lease over an unordered connection", is_ordered=False),
    Rules(name="memory filled a turn after the parser", is_put_in_parser=False),
    Rules(name="a lagging replica without a floor", lag=1, is_heeded=False),
)
LARGER = (
    Size(readers=2, writes=3),
    Size(readers=2, writes=2, expiries=1, evictions=1),
    Size(readers=3, writes=2),
)


def explored(rules: Rules, size: Size) -> Found:
    return Search(rules, size).run()
