"""What a provider answers is the same completion, whole or streamed, and however its bytes are cut."""

import asyncio
import json
from collections.abc import AsyncIterator
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.lib.streaming.chat import ChatCompletionStreamState
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from tests.support.attempts import attempt
from tests.support.conversations import ARGUMENTS, NAMES, TEXTS
from tests.support.native_upstream import recorded

from gatewayz.providers.dialects.anthropic.wire import AnthropicWire
from gatewayz.providers.dialects.gemini.wire import GeminiWire
from gatewayz.providers.dialects.translated import Wire, answer_of, events_of

Answer = dict[str, Any]
WIRES: dict[str, Wire] = {"anthropic": AnthropicWire(), "gemini": GeminiWire()}


def streamed(wire: Wire, chunks: list[bytes]) -> bytes:
    """All that the caller of a stream gets for these bytes of the provider."""

    async def arriving() -> AsyncIterator[bytes]:
        for chunk in chunks:
            yield chunk

    async def read() -> bytes:
        asked = attempt({}, is_streaming=True)
        return b"".join([each async for each in events_of(asked, arriving(), wire.reader(asked))])

    return asyncio.run(read())


def joined(stream: bytes) -> Answer:
    """As OpenAI's SDK joins the events of a stream."""
    state = ChatCompletionStreamState()
    *events, done, rest = stream.split(b"\n\n")
    assert (done, rest) == (b"data: [DONE]", b"")
    for event in events:
        state.handle_chunk(ChatCompletionChunk.model_validate_json(event.removeprefix(b"data: ")))
    return plain(state.current_completion_snapshot)


def whole(wire: Wire, body: bytes) -> Answer:
    asked = attempt({})
    return plain(ChatCompletion.model_validate_json(answer_of(asked, body, wire.reader(asked))))


def plain(completion: ChatCompletion) -> Answer:
    """Without what is made anew each time, and without what the two forms say where there is nothing to say."""
    form = completion.model_dump(exclude_none=True, exclude={"created", "object", "service_tier"}, warnings=False)
    form["id"] = form["id"] if form["id"].startswith(("msg", "resp")) else ""
    for choice in form["choices"]:
        message = choice["message"]
        message["content"] = message.get("content") or ""
        for call in message.get("tool_calls", ()):
            call.pop("index", None)
            call["function"].pop("parsed_arguments", None)
            call["function"]["arguments"] = json.loads(call["function"]["arguments"])
            if call["id"].startswith("call_"):
                call["id"] = ""
        if not message.get("tool_calls"):
            message.pop("tool_calls", None)
    return form


def cut(body: bytes, places: list[int]) -> list[bytes]:
    ends = sorted({0, len(body), *(place % (len(body) + 1) for place in places)})
    return [body[a:b] for a, b in pairwise(ends)]


CUTS = st.lists(st.integers(0, 10_000), max_size=20)


@pytest.mark.parametrize("recording", ["anthropic/answer", "anthropic/tools", "gemini/answer", "gemini/tools"])
@given(places=CUTS, line_end=st.sampled_from([b"\n", b"\r\n", b"\r"]))
def test_a_recorded_stream_is_the_recorded_whole_answer_however_it_is_cut(
    recording: str, places: list[int], line_end: bytes
) -> None:
    wire = WIRES[recording.split("/", maxsplit=1)[0]]
    stream = recorded(f"{recording}.sse").replace(b"\n", line_end)
    assert joined(streamed(wire, cut(stream, places))) == whole(wire, recorded(f"{recording}.json"))


USAGES = st.fixed_dictionaries(
    {name: st.integers(0, 9999) for name in ("input_tokens", "output_tokens")},
    optional={name: st.integers(0, 9999) for name in ("cache_read_input_tokens", "cache_creation_input_tokens")},
)
STOPS = st.sampled_from(["end_turn", "max_tokens", "stop_sequence", "refusal", "a_new_one"])
BLOCKS = st.lists(
    st.builds(lambda text: {"type": "text", "text": text}, TEXTS)
    | st.builds(lambda text, sign: {"type": "thinking", "thinking": text, "signature": sign}, TEXTS, TEXTS)
    | st.builds(lambda data: {"type": "redacted_thinking", "data": data}, TEXTS)
    | st.builds(
        lambda id_, name, input_: {"type": "tool_use", "id": id_, "name": name, "input": input_},
        *(NAMES, NAMES, ARGUMENTS),
    ),
    min_size=1,
    max_size=5,
)


def pieces(data: st.DataObject, text: str) -> list[str]:
    places = data.draw(st.lists(st.integers(0, len(text)), max_size=3))
    return [text[a:b] for a, b in pairwise(sorted({0, len(text), *places}))]


def as_anthropic_streams(data: st.DataObject, message: Answer) -> bytes:
    """The events that Anthropic makes of a message."""
    usage = message["usage"]
    begun = {**message, "content": [], "stop_reason": None, "usage": {**usage, "output_tokens": 1}}
    events: list[Answer] = [{"type": "message_start", "message": begun}]
    for index, block in enumerate(message["content"]):
        kind = block["type"]
        empty = {"text": {"text": ""}, "thinking": {"thinking": "", "signature": ""}, "tool_use": {"input": {}}}
        events.append({"type": "content_block_start", "index": index, "content_block": block | empty.get(kind, {})})
        deltas: list[Answer] = []
        if kind == "text":
            deltas = [{"type": "text_delta", "text": each} for each in pieces(data, block["text"])]
        elif kind == "thinking":
            deltas = [{"type": "thinking_delta", "thinking": each} for each in pieces(data, block["thinking"])]
            deltas.append({"type": "signature_delta", "signature": block["signature"]})
        elif kind == "tool_use" and block["input"]:
            written = pieces(data, json.dumps(block["input"]))
            deltas = [{"type": "input_json_delta", "partial_json": each} for each in written]
        events += [{"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas]
        events.append({"type": "content_block_stop", "index": index})
    ended = {"stop_reason": message["stop_reason"], "stop_sequence": None}
    events += [{"type": "message_delta", "delta": ended, "usage": usage}, {"type": "message_stop"}]
    return b"".join(f"event: {each['type']}\ndata: {json.dumps(each)}\n\n".encode() for each in events)


@given(content=BLOCKS, usage=USAGES, stop=STOPS, data=st.data())
def test_what_claude_says_is_the_same_whole_and_streamed(
    content: list[Answer], usage: dict[str, int], stop: str, data: st.DataObject
) -> None:
    message = {"id": "msg_1", "type": "message", "content": content, "stop_reason": stop, "usage": usage}
    completion = whole(WIRES["anthropic"], json.dumps(message).encode())
    assert joined(streamed(WIRES["anthropic"], [as_anthropic_streams(data, message)])) == completion
    said = completion["choices"][0]["message"]
    assert said["content"] == "".join(block["text"] for block in content if block["type"] == "text")
    assert [(c["id"], c["function"]["name"], c["function"]["arguments"]) for c in said.get("tool_calls", ())] == [
        (block["id"], block["name"], block["input"]) for block in content if block["type"] == "tool_use"
    ]
    thoughts = "".join(block["thinking"] for block in content if block["type"] == "thinking")
    assert said.get("reasoning_content", "") == thoughts
    read, written = usage.get("cache_read_input_tokens", 0), usage.get("cache_creation_input_tokens", 0)
    assert completion["usage"]["prompt_tokens"] == usage["input_tokens"] + read + written
    assert completion["usage"]["completion_tokens"] == usage["output_tokens"]
    assert completion["usage"]["prompt_tokens_details"] == {"cached_tokens": read, "cache_write_tokens": written}


PARTS = st.lists(
    st.builds(lambda text: {"text": text}, TEXTS)
    | st.builds(lambda text: {"text": text, "thought": True}, TEXTS)
    | st.builds(
        lambda name, args, sign: {"functionCall": {"name": name, "args": args}, "thoughtSignature": sign},
        *(NAMES, ARGUMENTS, NAMES),
    ),
    min_size=1,
    max_size=5,
)


@given(
    candidates=st.lists(PARTS, min_size=1, max_size=3),
    counts=st.tuples(*[st.integers(0, 9999)] * 4),
    stop=st.sampled_from(["STOP", "MAX_TOKENS", "SAFETY", "A_NEW_ONE"]),
)
def test_what_gemini_says_is_the_same_whole_and_streamed(
    candidates: list[list[Answer]], counts: tuple[int, ...], stop: str
) -> None:
    names = ("promptTokenCount", "cachedContentTokenCount", "candidatesTokenCount", "thoughtsTokenCount")
    usage = {"usageMetadata": dict(zip(names, counts, strict=True)), "responseId": "resp-1"}

    def written(index: int, parts: list[Answer], **more: object) -> Answer:
        return {"index": index, "content": {"parts": parts, "role": "model"}, **more}

    ended = [written(index, parts, finishReason=stop) for index, parts in enumerate(candidates)]
    events: list[Answer] = [
        {"candidates": [written(index, [part])]} for index, parts in enumerate(candidates) for part in parts
    ]
    events.append({"candidates": [written(index, [], finishReason=stop) for index in range(len(candidates))], **usage})
    stream = b"".join(b"data: " + json.dumps({"responseId": "resp-1", **each}).encode() + b"\n\n" for each in events)
    completion = whole(WIRES["gemini"], json.dumps({"candidates": ended, **usage}).encode())
    assert joined(streamed(WIRES["gemini"], [stream])) == completion
    for parts, choice in zip(candidates, completion["choices"], strict=True):
        texts = [part["text"] for part in parts if "text" in part and not part.get("thought")]
        assert choice["message"]["content"] == "".join(texts)
        calls = [part["functionCall"] for part in parts if "functionCall" in part]
        assert [call["function"] for call in choice["message"].get("tool_calls", ())] == [
            {"name": call["name"], "arguments": call["args"]} for call in calls
        ]
        finish = {"MAX_TOKENS": "length", "SAFETY": "content_filter"}.get(stop, "tool_calls" if calls else "stop")
        assert choice["finish_reason"] == finish
    assert completion["usage"]["completion_tokens"] == counts[2] + counts[3]
    assert completion["usage"]["completion_tokens_details"]["reasoning_tokens"] == counts[3]
