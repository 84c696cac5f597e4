"""What an answer used, read from its bytes while they pass."""

from collections.abc import AsyncIterator, Callable

import msgspec
from msgspec import Struct

from gatewayz.core.unreadable import UNREADABLE
from gatewayz.credits.pricing import Used
from gatewayz.inference.told_usage import ToldUsage
from gatewayz.providers.dialects.completion import Counts
from gatewayz.responses.events import may_tell_usage, split_events

_LONGEST_EVENT = 16 * 1024 * 1024


class Usage(Struct, frozen=True, kw_only=True):
    """Tokens. Of those of the prompt, `cached` were in the provider's own cache, and `cache_write` went into it; of
    those of the completion, `reasoning` came before the answer.
    """

    prompt: int = 0
    completion: int = 0
    cached: int = 0
    cache_write: int = 0
    reasoning: int = 0

    def priced(self) -> Used:
        """The same as prices are told of it."""
        return Used(
            prompt=self.prompt, completion=self.completion, cache_read=self.cached, cache_write=self.cache_write
        )


class _Body(Struct):
    usage: ToldUsage | None = None
    choices: list[msgspec.Raw] | None = None


Note = Callable[[Usage], None]
Counted = Callable[[], Counts]

BYTES_PER_TOKEN = 4

_decode = msgspec.json.Decoder(_Body, strict=False).decode


def usage_of(body: bytes) -> Usage | None:
    """What a whole answer in OpenAI's form says; None where it says nothing that can be read."""
    read = _read(body)
    return _usage(read.usage) if read is not None and read.usage is not None else None


def usage_told(usage: object) -> Usage | None:
    """What the decoded member `usage` of an answer says; None where it says nothing that can be read."""
    try:
        return _usage(msgspec.convert(usage, ToldUsage, strict=False))
    except msgspec.ValidationError:
        return None


async def metered_whole(
    chunks: AsyncIterator[bytes], *, is_text: bool, prompt: int, note: Note
) -> AsyncIterator[bytes]:
    """The same chunks; `note` is told what they say was used, or what it may have been where they do not say."""
    whole = b"".join([chunk async for chunk in chunks])
    completion = len(whole) // BYTES_PER_TOKEN if is_text else 0
    note(usage_of(whole) or Usage(prompt=prompt, completion=completion))
    yield whole


async def metered_stream(
    chunks: AsyncIterator[bytes], *, shows_usage: bool, prompt: int, counted: Counted | None = None, note: Note
) -> AsyncIterator[bytes]:
    """The same events; `note` is told of what was used with every chunk, so that who leaves pays for what there was:
    what the stream says, else what is `counted` by now, else what it may have been.
    """
    meter = StreamMeter(shows_usage=shows_usage)
    async for chunk in chunks:
        passed = meter.feed(chunk)
        note(meter.usage or _so_far(meter.events, prompt, counted))
        if passed:
            yield passed
    if rest := meter.end():
        note(meter.usage or _so_far(meter.events, prompt, counted))
        yield rest


def _so_far(events: int, prompt: int, counted: Counted | None) -> Usage:
    """Who counts the prompt when a stream begins may count its tokens only at its end."""
    counts = counted() if counted is not None else None
    if counts is None or not counts.prompt:
        return Usage(prompt=prompt, completion=events)
    completion = max(counts.completion, events)
    return _bounded(counts.prompt, completion, counts.cached, counts.cache_write, counts.reasoning or 0)


class StreamMeter:
    """Lets server-sent events through, whole ones only, and notes the usage that the last of them tells.

    Providers are always asked for it. `shows_usage`: the caller wants to see it, too; else the event that holds nothing
    else is left out. `events`: how many have passed, which is about how many tokens were sent.
    """

    def __init__(self, *, shows_usage: bool) -> None:
        self._shows_usage = shows_usage
        self._rest = b""
        self.usage: Usage | None = None
        self.events = 0

    def feed(self, chunk: bytes) -> bytes:
        """What of the stream may go on to the caller now."""
        data = self._rest + chunk if self._rest else chunk
        end = _whole_events(data)
        if end < 0:
            if len(data) > _LONGEST_EVENT:  # no event at all: the caller may make of it what he can
                self._rest = b""
                return data
            self._rest = data
            return b""
        self._rest = data[end:]
        return self._passed(data[:end] if self._rest else data)

    def end(self) -> bytes:
        """What is left when the stream has ended, be it half an event."""
        rest, self._rest = self._rest, b""
        return self._passed(rest) if rest else b""

    def _passed(self, events: bytes) -> bytes:
        self.events += events.count(b"data:")
        if not may_tell_usage(events):
            return events
        return b"".join([event for event in split_events(events) if self._is_shown(event)])

    def _is_shown(self, event: bytes) -> bool:
        if not may_tell_usage(event):
            return True
        read = _read(event[event.find(b"{") :].rstrip())
        if read is None or read.usage is None:
            return True
        self.usage = _usage(read.usage)
        return self._shows_usage or bool(read.choices)


def _whole_events(data: bytes) -> int:
    """Where the last whole event ends, -1 if there is none."""
    unix, dos = data.rfind(b"\n\n"), data.rfind(b"\r\n\r\n")
    if unix < 0 and dos < 0:
        return -1
    return max(unix + 2, dos + 4)


def _read(body: bytes) -> _Body | None:
    try:
        return _decode(body)
    except UNREADABLE:
        return None


def _usage(told: ToldUsage) -> Usage:
    return _bounded(told.prompt_tokens, told.completion, told.cached, told.cache_write, told.reasoning)


def _bounded(prompt: int, completion: int, cached: int, cache_write: int, reasoning: int) -> Usage:
    """Nothing below zero, and no part more than its whole."""
    prompt, completion = max(0, prompt), max(0, completion)
    cached = min(prompt, max(0, cached))
    return Usage(
        prompt=prompt,
        completion=completion,
        cached=cached,
        cache_write=min(prompt - cached, max(0, cache_write)),
        reasoning=min(completion, max(0, reasoning)),
    )
