"""What became of one request, told by the parts that it went through, and read once, at its end.

Parts tell it as they go, in the context of the request and of the tasks that it began; metrics, the request's line in
the log and its trace are made of it.
"""

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

from msgspec import Struct

from gatewayz.core.clock import SystemClock
from gatewayz.core.errors import GatewayzError, ProviderFailed
from gatewayz.core.trace_context import TraceContext, span_id

ANSWERED = "answered"

_monotonic = SystemClock.monotonic


class Attempt(Struct):
    """One question to a provider. Times are of the monotonic clock; `outcome`: ANSWERED, the code of an error, or
    nothing where the request was given up.
    """

    provider: str
    model: str
    began: float
    span: str = ""
    ended: float = 0.0
    outcome: str = ""
    status: int | None = None


class Course:
    """`began`, `first_byte` (0 while nothing was sent): of the monotonic clock. `status`: 0 while there is none.
    `waited`: seconds of waiting for providers before the first byte of a stream, or all of another answer. `cost` and
    `saved`: nano-dollars. `saved_seconds`: what an answer from the cache would have taken a provider. `age`: seconds
    since that was made, None for others. `model` is of the catalog.
    """

    # Defaults stand at the class: what is answered from memory tells few of these, and is not charged for more.
    trace: TraceContext | None = None
    first_byte = 0.0
    status = 0
    endpoint = ""
    code = ""
    provider = ""
    model = ""
    cache = ""
    tier = ""
    waited = 0.0
    attempts: Sequence[Attempt] = ()
    prompt = 0
    completion = 0
    cost = 0
    saved = 0
    saved_seconds = 0.0
    age: float | None = None
    is_stream = False
    is_cut = False

    def __init__(self, request_id: str = "") -> None:
        self.request_id = request_id
        self.began = _monotonic()

    def began_to_answer(self, status: int) -> None:
        self.status = status
        self.first_byte = _monotonic()

    def recalled(self, provider: str, model: str, *, saved: int, saved_seconds: float, age: float) -> None:
        """Another request's answer is given again."""
        self.provider = provider
        self.model = model
        self.saved = saved
        self.saved_seconds = saved_seconds
        self.age = age

    def served(self, provider: str, model: str, *, prompt: int, completion: int, cost: int) -> None:
        self.provider = provider
        self.model = model
        self.prompt = prompt
        self.completion = completion
        self.cost = cost

    def attempted(self, attempt: Attempt) -> None:
        self.attempts = (*self.attempts, attempt)


_COURSE: ContextVar[Course] = ContextVar("course")


def follow(course: Course) -> None:
    """From here on `course()` is this, in this context and in those that are copied from it."""
    _COURSE.set(course)


def course() -> Course:
    """Of the request that is served in this context; outside of one, of nobody."""
    found = _COURSE.get(None)
    return found if found is not None else Course()


@contextmanager
def waiting() -> Iterator[None]:
    """The request waits for providers during the block."""
    of_request, began = course(), _monotonic()
    try:
        yield
    finally:
        of_request.waited += _monotonic() - began


@contextmanager
def attempting(provider: str, model: str) -> Iterator[Attempt]:
    """A provider is asked for the request; the block ends when it begins to answer, or does not."""
    of_request = course()
    attempt = Attempt(provider, model, _monotonic(), span_id() if of_request.trace is not None else "")
    of_request.attempted(attempt)
    try:
        yield attempt
    except ProviderFailed as failure:
        attempt.outcome, attempt.status = failure.kind, failure.status
        raise
    except GatewayzError as error:
        attempt.outcome = error.kind
        raise
    else:
        attempt.outcome = ANSWERED
    finally:
        attempt.ended = _monotonic()


async def awaited(chunks: AsyncIterator[bytes], *, is_stream: bool) -> AsyncIterator[bytes]:
    """The same chunks, waited for: of a stream, the first one."""
    while True:
        with waiting():
            chunk = await anext(chunks, None)
        if chunk is None:
            return
        yield chunk
        if is_stream:
            break
    async for later in chunks:
        yield later
