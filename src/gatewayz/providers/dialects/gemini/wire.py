"""Gemini's generateContent, for callers who speak OpenAI's form."""

from urllib.parse import quote

from gatewayz.core.errors import GatewayzError
from gatewayz.providers.dialects.chat import ChatAttempt
from gatewayz.providers.dialects.fault import counts_no_tokens
from gatewayz.providers.dialects.gemini.answer import ContentReader
from gatewayz.providers.dialects.gemini.errors import error_of
from gatewayz.providers.dialects.gemini.request import body_of
from gatewayz.providers.dialects.translated import Question, Reader


class GeminiWire:
    def question(self, attempt: ChatAttempt) -> Question:
        method = "streamGenerateContent?alt=sse" if attempt.is_streaming else "generateContent"
        return Question(f"/models/{quote(attempt.native_id, safe='')}:{method}", body_of(attempt))

    def count(self, attempt: ChatAttempt) -> Question:
        raise counts_no_tokens(attempt)

    def reader(self, attempt: ChatAttempt) -> Reader:
        return ContentReader(attempt)

    def fault(self, attempt: ChatAttempt, status: int, body: bytes) -> GatewayzError:
        return error_of(attempt, body, status)
