"""Answers what was answered before without a task, a timer or a look into the JSON.

A request that has the very bytes of one that was answered by what is kept, and comes from the same key, as
it is now, has the same plan. Whatever is not so, or is no longer, is none of this module's business: it goes the whole
way, which judges it anew.
"""

from collections.abc import Callable

from msgspec import Struct

from gatewayz.accounts.scopes import INFERENCE
from gatewayz.api.answer import REQUEST_ID, Scope, whole_answer
from gatewayz.api.asking import Asked
from gatewayz.api.callers import Callers
from gatewayz.api.once import NAME
from gatewayz.api.reply import reply_headers
from gatewayz.core.course import Course
from gatewayz.core.ids import ApiKeyId, random_id
from gatewayz.inference.replies import Replies, Reply
from gatewayz.responses.controls import CONTROL_HEADERS, DEFAULT
from gatewayz.responses.plan import Plan

MOST_BYTES = 32 * 1024
"""Of a body that is remembered."""
_MOST_BYTES_TOGETHER = 4 * 1024 * 1024
_SAY_MORE = CONTROL_HEADERS | {NAME, b"origin"}
"""Headers of which something follows for the answer."""

Done = Callable[[bytes | None], None]
"""Is told a whole answer with its head; None: the request must go the whole way after all."""


class _Known(Struct, frozen=True):
    asked: Asked
    plan: Plan


class AtOnce:
    def __init__(self, callers: Callers, replies: Replies) -> None:
        self._callers = callers
        self._replies = replies
        self._known: dict[tuple[ApiKeyId, bytes], _Known] = {}
        self._bytes = 0

    def remember(self, asked: Asked, plan: Plan) -> None:
        """It was answered by what is kept. The oldest are forgotten for it."""
        size = len(asked.body)
        if plan.controls is not DEFAULT or size > MOST_BYTES:
            return
        key = (asked.caller.key_id, asked.body)
        if self._known.pop(key, None) is None:
            self._bytes += size
        self._known[key] = _Known(asked, plan)
        while self._bytes > _MOST_BYTES_TOGETHER:
            oldest = next(iter(self._known))
            del self._known[oldest]
            self._bytes -= len(oldest[1])

    def answer(self, scope: Scope, body: bytes, course: Course, done: Done) -> bool:
        """False: nothing was done. Otherwise `done` is called, now or when the limits have been asked."""
        if not _SAY_MORE.isdisjoint([name for name, _ in scope["headers"]]):
            return False
        caller = self._callers.known_caller(scope, INFERENCE)
        if caller is None:
            return False
        known = self._known.get((caller.key_id, body))
        if known is None or (known.asked.caller is not caller and known.asked.caller != caller):
            return False
        entry = self._replies.at_hand(known.plan)
        if entry is None:
            return False
        call = known.asked.call(random_id("gen"))

        def replied(reply: Reply | None) -> None:
            if reply is None or reply.body is None:
                done(None)
                return
            course.began_to_answer(200)
            course.is_stream = call.request.is_streaming
            done(whole_answer(200, reply_headers(reply, call, [(REQUEST_ID, course.request_id.encode())]), reply.body))

        self._replies.recall(call, entry, course, replied)
        return True
