"""Anthropic's Messages API, for its callers."""

import msgspec

from gatewayz.inference.surfaces.answer import whole_answer
from gatewayz.inference.surfaces.messages.answer import message_of
from gatewayz.inference.surfaces.messages.events import MessageEvents
from gatewayz.inference.surfaces.messages.request import chat_of
from gatewayz.inference.surfaces.surface import Answering, Events


class _Answering:
    """All requests are answered alike."""

    def whole(self, answer: bytes) -> bytes:
        return msgspec.json.encode(message_of(whole_answer(answer)))

    def events(self) -> Events:
        return MessageEvents()


class MessagesSurface:
    def chat(self, body: bytes) -> bytes:
        return msgspec.json.encode(chat_of(body))

    def answering(self, body: bytes) -> Answering:  # noqa: ARG002  nothing of it is said again
        return _Answering()
