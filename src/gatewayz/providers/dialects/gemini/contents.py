"""A conversation in OpenAI's form as Gemini's system instruction and contents."""

import mimetypes
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from gatewayz.core.errors import InvalidRequest
from gatewayz.providers.dialects.asked import Message, Part, ToolCall, Url, arguments_of
from gatewayz.providers.dialects.chat import ChatAttempt
from gatewayz.providers.dialects.fault import not_supported
from gatewayz.providers.dialects.inline import read_data_url

GeminiPart = dict[str, Any]

ANY_SIGNATURE = "skip_thought_signature_validator"
"""Google's own word for calls whose thoughts nobody has, as those of another model. Without one Gemini refuses them."""
_SOUND_TYPES = {"wav": "audio/wav", "mp3": "audio/mp3"}
_FETCHED = ("https://", "gs://")


def contents_of(attempt: ChatAttempt, messages: Sequence[Message]) -> tuple[list[GeminiPart], list[dict[str, Any]]]:
    """The system instruction's parts, from wherever in the conversation, and the contents. What one side says in a row
    is one content, as all results of the tools of one turn have to come together, in the order of their calls.
    """
    writer = _Contents(attempt)
    for message in messages:
        writer.add(message)
    writer.close_results()
    return writer.system, writer.contents


class _Contents:
    def __init__(self, attempt: ChatAttempt) -> None:
        self.system: list[GeminiPart] = []
        self.contents: list[dict[str, Any]] = []
        self._attempt = attempt
        self._names: dict[str, str] = {}
        self._results: dict[str, GeminiPart] = {}

    def add(self, message: Message) -> None:
        if message.role == "tool":
            self._result(message)
            return
        self.close_results()
        match message.role:
            case "system" | "developer":
                self.system += self._system(message)
            case "user":
                self._say("user", _parts(self._attempt, message.parts()))
            case "assistant":
                self._say("model", self._assistant(message))
            case "function":
                raise not_supported(self._attempt, "messages", "has no functions without tools", "use the role 'tool'")
            case role:
                known = "system, developer, user, assistant or tool"
                raise InvalidRequest(f"'messages' has the role {role!r}; use {known}", param="messages")

    def close_results(self) -> None:
        """Write down what the tools answered, in the order in which they were called."""
        if self._results:
            self._say("user", [self._results[call] for call in self._names if call in self._results])
            self._results = {}

    def _say(self, role: str, parts: list[GeminiPart]) -> None:
        if self.contents and self.contents[-1]["role"] == role:
            self.contents[-1]["parts"] += parts
        elif parts:
            self.contents.append({"role": role, "parts": parts})

    def _system(self, message: Message) -> list[GeminiPart]:
        if any(part.type != "text" for part in message.parts()):
            remedy = "put the rest into the user's"
            raise not_supported(self._attempt, "messages", "takes text only in system messages", remedy)
        return _parts(self._attempt, message.parts())

    def _assistant(self, message: Message) -> list[GeminiPart]:
        parts = _parts(self._attempt, message.parts())
        if message.refusal:
            parts.append({"text": message.refusal})
        for number, call in enumerate(message.tool_calls or ()):
            if call.function is None:
                remedy = "describe them as functions"
                raise not_supported(self._attempt, "messages", "has no tools without a schema", remedy)
            self._names[call.id] = call.function.name
            part: GeminiPart = {"functionCall": {"name": call.function.name, "args": arguments_of(call)}}
            # Of calls at once only the first has one.
            if signature := _signature(call) or (ANY_SIGNATURE if number == 0 else ""):
                part["thoughtSignature"] = signature
            parts.append(part)
        return parts

    def _result(self, message: Message) -> None:
        call = message.tool_call_id
        if call is None or call not in self._names:
            raise InvalidRequest(
                f"the result of the tool call {call!r} in 'messages' follows no such call; send its call as well",
                param="messages",
            )
        if any(part.type != "text" for part in message.parts()):
            raise not_supported(
                self._attempt, "messages", "takes text only as a tool's result", "send the rest as user"
            )
        self._results[call] = {"functionResponse": {"name": self._names[call], "response": {"output": message.text()}}}


def _signature(call: ToolCall) -> str:
    match call.extra_content:
        case {"google": {"thought_signature": str(signature)}}:
            return signature
    return ""


def _parts(attempt: ChatAttempt, parts: Sequence[Part]) -> list[GeminiPart]:
    return [written for part in parts if (written := _part(attempt, part)) is not None]


def _part(attempt: ChatAttempt, part: Part) -> GeminiPart | None:
    """None for a text without a character."""
    match part.type:
        case "text" | "refusal":
            text = part.text if part.type == "text" else part.refusal
            return {"text": text} if text else None
        case "image_url" if part.image_url is not None:
            return _media(attempt, part.image_url.url if isinstance(part.image_url, Url) else part.image_url)
        case "input_audio" if part.input_audio is not None:
            media_type = _SOUND_TYPES.get(part.input_audio.format, f"audio/{part.input_audio.format}")
            return {"inlineData": {"mimeType": media_type, "data": part.input_audio.data}}
        case "file" if part.file is not None and part.file.file_data is not None:
            return _media(attempt, part.file.file_data)
    raise not_supported(attempt, "messages", f"takes no parts of type {part.type!r}", "leave them out")


def _media(attempt: ChatAttempt, url: str) -> GeminiPart:
    if (inline := read_data_url(url)) is not None:
        return {"inlineData": {"mimeType": inline.media_type, "data": inline.data}}
    if not url.startswith(_FETCHED):
        remedy = "send them as one of these"
        raise not_supported(attempt, "messages", "takes pictures and files as data: or https: URLs only", remedy)
    media_type, _ = mimetypes.guess_type(urlsplit(url).path)
    return {"fileData": {"fileUri": url} | ({"mimeType": media_type} if media_type else {})}
