"""A chat's answer as a response of OpenAI's."""

from collections.abc import Sequence

from msgspec import Raw, Struct
from msgspec.structs import asdict

from gatewayz.inference.surfaces.answer import ChatAnswer, Said
from gatewayz.inference.surfaces.reading import Form, without_nones
from gatewayz.inference.surfaces.responses.items import sealed
from gatewayz.inference.surfaces.responses.request import INCLUDED
from gatewayz.inference.told_usage import ToldUsage
from gatewayz.providers.dialects.asked import ABSENT, Thought

_INCOMPLETE = {"length": "max_output_tokens", "content_filter": "content_filter"}
"""By `finish_reason`: why there is not all of it."""


class Echo(Struct, frozen=True, kw_only=True):
    """What a response says again of its request, as it came."""

    instructions: Raw = ABSENT
    max_output_tokens: Raw = ABSENT
    metadata: Raw = ABSENT
    parallel_tool_calls: Raw = ABSENT
    reasoning: Raw = ABSENT
    temperature: Raw = ABSENT
    text: Raw = ABSENT
    tool_choice: Raw = ABSENT
    tools: Raw = ABSENT
    top_p: Raw = ABSENT
    user: Raw = ABSENT
    include: list[str] | None = None

    @property
    def seals_thoughts(self) -> bool:
        return INCLUDED[0] in (self.include or ())

    def form(self) -> Form:
        said = {name: getattr(self, name) for name in self.__struct_fields__ if name != "include"}
        where_silent = {name: _SILENT.get(name) for name, value in said.items() if value == ABSENT}
        return {**said, **where_silent, "previous_response_id": None, "store": False, "truncation": "disabled"}


_SILENT: Form = {
    "metadata": {},
    "parallel_tool_calls": True,
    "reasoning": {"effort": None, "summary": None},
    "text": {"format": {"type": "text"}},
    "tool_choice": "auto",
    "tools": [],
}
"""What holds where a request says nothing; null, where nothing stands here."""


def response_of(answer: ChatAnswer, echo: Echo) -> Form:
    said = answer.first.message or Said()
    return finished(answer, echo, items_of(said, answer.suffix, echo), answer.first.finish_reason)


def begun(answer: ChatAnswer, echo: Echo) -> Form:
    """As it is told before there is anything of it."""
    return {
        "id": f"resp_{answer.suffix}",
        "object": "response",
        "created_at": answer.created,
        "status": "in_progress",
        "error": None,
        "incomplete_details": None,
        "model": answer.model,
        "output": [],
        **echo.form(),
        "usage": None,
    }


def finished(answer: ChatAnswer, echo: Echo, output: Sequence[Form], finish: str | None) -> Form:
    why = _INCOMPLETE.get(finish or "")
    return {
        **begun(answer, echo),
        "status": "completed" if why is None else "incomplete",
        "incomplete_details": None if why is None else {"reason": why},
        "output": output,
        "usage": usage_of(answer.usage),
        **({"gatewayz": answer.gatewayz} if answer.gatewayz is not None else {}),
    }


def items_of(said: Said, suffix: str, echo: Echo) -> list[Form]:
    items: list[Form] = []
    if said.thought or said.reasoning_details:
        items.append(reasoning(f"rs_{suffix}", said.thought, said.reasoning_details or (), echo))
    if parts := parts_of(said):
        items.append(message(f"msg_{suffix}", parts))
    for number, call in enumerate(said.tool_calls or ()):
        function = call.function
        items.append(called(f"fc_{suffix}_{number}", call.id or "", function.name or "", function.arguments or ""))
    return items


def parts_of(said: Said) -> list[Form]:
    parts = [text_part(said.content)] if said.content else []
    return [*parts, refusal_part(said.refusal)] if said.refusal else parts


def text_part(text: str) -> Form:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def refusal_part(text: str) -> Form:
    return {"type": "refusal", "refusal": text}


def message(id_: str, parts: Sequence[Form], status: str = "completed") -> Form:
    return {"id": id_, "type": "message", "role": "assistant", "status": status, "content": parts}


def called(id_: str, call_id: str, name: str, arguments: str, status: str = "completed") -> Form:
    names = {"call_id": call_id or id_, "name": name}
    return {"id": id_, "type": "function_call", "status": status, **names, "arguments": arguments}


def reasoning(id_: str, text: str, details: Sequence[Thought], echo: Echo) -> Form:
    """What has to go back to the provider goes by the caller, if it wants that."""
    item: Form = {"id": id_, "type": "reasoning", "summary": summary(text)}
    if echo.seals_thoughts:
        pieces = [without_nones(**asdict(piece)) for piece in details]
        item["encrypted_content"] = sealed(pieces) if pieces else None
    return item


def summary(text: str) -> list[Form]:
    return [summary_part(text)] if text else []


def summary_part(text: str) -> Form:
    return {"type": "summary_text", "text": text}


def usage_of(usage: ToldUsage | None) -> Form:
    used = usage or ToldUsage()
    return {
        "input_tokens": used.prompt_tokens,
        "input_tokens_details": {"cached_tokens": used.cached, "cache_write_tokens": used.cache_write},
        "output_tokens": used.completion,
        "output_tokens_details": {"reasoning_tokens": used.reasoning},
        "total_tokens": used.prompt_tokens + used.completion,
    }
