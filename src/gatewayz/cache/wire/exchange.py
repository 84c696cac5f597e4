"""Commands that go out together, and what is made of their replies."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, Protocol, TypeAlias, TypeVar, cast

from hiredis import Reader, ReplyError, pack_command

T = TypeVar("T")
T_contra = TypeVar("T_contra", contravariant=True)

Command: TypeAlias = tuple[str | bytes | int | float, ...]
Packed: TypeAlias = bytes
"""A command as it goes over the line."""
Then: TypeAlias = Callable[[list[Any], int], T]
"""Gets the replies, and how many pushes and gaps there had been when the first of them came."""


class Order:
    """Counts pushes and gaps of one wire, so that replies can be told before from after."""

    def __init__(self) -> None:
        self.now = 0


_pack = cast("Callable[[tuple[object, ...]], bytes]", pack_command)  # hiredis says one-tuples only


def pack(command: Command | Packed) -> Packed:
    return command if isinstance(command, bytes) else _pack(command)


def _parts(command: Command | Packed) -> Command:
    if not isinstance(command, bytes):
        return command
    reader = Reader()
    reader.feed(command)
    return tuple(reader.gets())


class Outcome(Protocol[T_contra]):
    """What becomes of an exchange: an asyncio.Future, or less."""

    def done(self) -> bool: ...

    def set_result(self, result: T_contra, /) -> None: ...

    def set_exception(self, error: BaseException, /) -> None: ...


class Exchange(Generic[T]):
    """`then` makes the future's result of the replies, inside the parser, before any later push is seen. It must not
    raise: that costs the link. A push may lie between the first reply and the last: then its order is the greater one.
    Once the future is done, be it by its deadline or by a cancel, replies are thrown away. While `is_open`, more packed
    commands may be appended to `commands`: it is the last that was sent, and has not gone out.
    """

    __slots__ = (
        "commands", "expects", "first", "future", "has_refusal", "hops", "is_open", "order", "replies", "size", "then",
    )  # fmt: skip

    def __init__(
        self, commands: Sequence[Command | Packed], then: Then[T], future: Outcome[T], *, hops: int = 0
    ) -> None:  # fmt: skip
        self.commands = [*commands]
        self.then = then
        self.future = future
        self.replies: list[Any] = []
        self.expects = 0  # replies, as soon as it is sent
        self.size = 0
        self.order = 0
        self.first = 1  # the number of the reply at which `order` is taken; 0: it is taken already
        self.has_refusal = False
        self.is_open = False
        self.hops = hops  # how often it was sent elsewhere before

    def unsent(self) -> list[Packed]:
        """Those commands that were not given out yet, packed, and from now on counted."""
        unsent = [each if type(each) is bytes else pack(each) for each in self.commands[self.expects :]]
        self.expects += len(unsent)
        self.size += sum(map(len, unsent))
        return unsent

    def complete(self, scripts: Mapping[str, str], refused: "Refused | None" = None) -> "Exchange[T] | None":
        """Settle the future; or the exchange that must follow, where Redis does not know a script. `refused` may take
        over what has other refusals, and settle it later.
        """
        if self.future.done():
            return None
        if self.has_refusal:
            if (first := self._unknown_script()) is not None:
                return self._again(first, self.replies[:first], scripts)
            if refused is not None and refused(self):
                return None
        self.settle(self.order)
        return None

    def settle(self, order: int) -> None:
        self.future.set_result(self.then(self.replies, order))

    def _unknown_script(self) -> int | None:
        """Where to begin again: with what was sent elsewhere, too, so that one thing is followed up at a time."""
        refusals = [(index, str(reply)) for index, reply in enumerate(self.replies) if type(reply) is ReplyError]
        if not any(text.startswith("NOSCRIPT") for _, text in refusals):
            return None
        return next(index for index, text in refusals if text.startswith(("NOSCRIPT", "MOVED", "ASK")))

    def _again(self, first: int, before: list[Any], scripts: Mapping[str, str]) -> "Exchange[T]":
        """Everything from the first unknown script on, so that what stands later also happens later. All of it
        must bear repetition.
        """
        then = self.then
        commands = spelled_out(self.commands[first:], scripts)
        again = Exchange(commands, lambda rest, order: then(before + rest, order), self.future, hops=self.hops)
        again.order, again.first = self.order, 0
        return again


Refused: TypeAlias = Callable[[Exchange[Any]], bool]


def spelled_out(commands: Sequence[Command | Packed], scripts: Mapping[str, str]) -> list[Command]:
    """The same with the scripts' texts for their names."""
    return [_spelled_out(_parts(command), scripts) for command in commands]


def _spelled_out(parts: Command, scripts: Mapping[str, str]) -> Command:
    if parts[0] not in ("EVALSHA", b"EVALSHA"):
        return parts
    sha = parts[1].decode() if isinstance(parts[1], bytes) else str(parts[1])
    return ("EVAL", scripts[sha], *parts[2:])
