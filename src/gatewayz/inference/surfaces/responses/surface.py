"""OpenAI's Responses, of which nothing is kept."""

import msgspec

from gatewayz.inference.surfaces.answer import whole_answer
from gatewayz.inference.surfaces.responses.answer import Echo, response_of
from gatewayz.inference.surfaces.responses.events import ResponseEvents
from gatewayz.inference.surfaces.responses.request import chat_of
from gatewayz.inference.surfaces.surface import Answering, Events


class _Answering:
    def __init__(self, echo: Echo) -> None:
        self._echo = echo

    def whole(self, answer: bytes) -> bytes:
        return msgspec.json.encode(response_of(whole_answer(answer), self._echo))

    def events(self) -> Events:
        return ResponseEvents(self._echo)


class ResponsesSurface:
    def chat(self, body: bytes) -> bytes:
        return msgspec.json.encode(chat_of(body))

    def answering(self, body: bytes) -> Answering:
        return _Answering(msgspec.json.decode(body, type=Echo))
