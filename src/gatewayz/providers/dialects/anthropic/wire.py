"""Anthropic's Messages API, for callers who speak OpenAI's form."""

from gatewayz.core.errors import GatewayzError
from gatewayz.providers.dialects.anthropic.answer import MessageReader
from gatewayz.providers.dialects.anthropic.errors import error_of
from gatewayz.providers.dialects.anthropic.request import body_of, counted_body_of
from gatewayz.providers.dialects.chat import ChatAttempt
from gatewayz.providers.dialects.translated import Question, Reader


class AnthropicWire:
    def question(self, attempt: ChatAttempt) -> Question:
        return Question("/messages", body_of(attempt))

    def count(self, attempt: ChatAttempt) -> Question:
        return Question("/messages/count_tokens", counted_body_of(attempt))

    def reader(self, attempt: ChatAttempt) -> Reader:
        return MessageReader(attempt)

    def fault(self, attempt: ChatAttempt, status: int, body: bytes) -> GatewayzError:
        return error_of(attempt, body, status)
