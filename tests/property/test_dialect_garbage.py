"""Whatever a provider sends, it is an answer, or one error with a name; and whatever a caller sends, too."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.attempts import attempt
from tests.support.native_upstream import recorded

from gatewayz.core.errors import GatewayzError, InvalidRequest, NotSupported, ProviderFailed
from gatewayz.providers.dialects.anthropic.wire import AnthropicWire
from gatewayz.providers.dialects.gemini.wire import GeminiWire
from gatewayz.providers.dialects.translated import Wire, answer_of, events_of

WIRES: dict[str, Wire] = {"anthropic": AnthropicWire(), "gemini": GeminiWire()}
EITHER = pytest.mark.parametrize("dialect", WIRES)
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-5, 5)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(["", "x", "tool_use", "thinking"])
)
GARBAGE = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)


def tried(work: Callable[[], bytes]) -> bytes | GatewayzError:
    """What comes of it, be it an error that has a name."""
    try:
        return work()
    except GatewayzError as error:
        return error


def places(value: Any) -> list[tuple[Any, Any]]:  # noqa: ANN401  any JSON
    """Each container of it with each of its keys."""
    if isinstance(value, dict):
        return [(value, key) for key in value] + [place for inner in value.values() for place in places(inner)]
    if isinstance(value, list):
        return [(value, at) for at in range(len(value))] + [place for inner in value for place in places(inner)]
    return []


@st.composite
def spoiled(draw: st.DrawFn, value: Any) -> Any:  # noqa: ANN401  any JSON
    """The same with some things in it removed or put to something else."""
    value = json.loads(json.dumps(value))
    for _ in range(draw(st.integers(1, 3))):
        container, key = draw(st.sampled_from(places([value])))
        if draw(st.booleans()) or isinstance(container, list):
            container[key] = draw(GARBAGE)
        else:
            container.pop(key, None)
    return value


def events(name: str) -> list[Any]:
    lines = recorded(name).splitlines()
    return [json.loads(line.removeprefix(b"data:")) for line in lines if line.startswith(b"data:")]


async def streamed(wire: Wire, stream: bytes) -> bytes:
    async def arriving() -> AsyncIterator[bytes]:
        yield stream

    asked = attempt({}, is_streaming=True)
    return b"".join([each async for each in events_of(asked, arriving(), wire.reader(asked))])


@EITHER
@given(data=st.data())
def test_a_spoiled_stream_ends_as_it_should_or_in_an_error_with_a_name(dialect: str, data: st.DataObject) -> None:
    said = events(f"{dialect}/{data.draw(st.sampled_from(['answer', 'tools']))}.sse")
    said = [data.draw(spoiled(event)) if data.draw(st.booleans()) else event for event in said]
    stream = b"".join(b"data: " + json.dumps(event).encode() + b"\n\n" for event in said)
    found = tried(lambda: asyncio.run(streamed(WIRES[dialect], stream)))
    if isinstance(found, GatewayzError):
        assert isinstance(found, ProviderFailed | InvalidRequest)
        assert found.message.startswith("the provider 'acme' ")
        return
    *chunks, done, rest = found.split(b"\n\n")
    assert (done, rest) == (b"data: [DONE]", b"")
    assert any(json.loads(chunk[6:])["choices"][0]["finish_reason"] for chunk in chunks[:-1])
    assert min(counted(json.loads(chunks[-1][6:]))) >= 0


@EITHER
@given(data=st.data())
def test_a_spoiled_answer_is_one_or_an_error_with_a_name(dialect: str, data: st.DataObject) -> None:
    name = f"{dialect}/{data.draw(st.sampled_from(['answer', 'tools']))}.json"
    body = json.dumps(data.draw(spoiled(json.loads(recorded(name))))).encode()
    asked = attempt({})
    found = tried(lambda: answer_of(asked, body, WIRES[dialect].reader(asked)))
    if isinstance(found, GatewayzError):
        assert isinstance(found, ProviderFailed | InvalidRequest)
        assert found.message.startswith("the provider 'acme' ")
        return
    form = json.loads(found)
    assert form["choices"][0]["finish_reason"]
    assert min(counted(form)) >= 0


@EITHER
@given(data=st.data())
def test_bytes_gone_wrong_are_an_answer_or_an_error_with_a_name(dialect: str, data: st.DataObject) -> None:
    is_streaming = data.draw(st.booleans())
    body = bytearray(recorded(f"{dialect}/tools.{'sse' if is_streaming else 'json'}"))
    for _ in range(data.draw(st.integers(1, 3))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    asked = attempt({})
    found = tried(
        lambda: (
            asyncio.run(streamed(WIRES[dialect], bytes(body)))
            if is_streaming
            else answer_of(asked, bytes(body), WIRES[dialect].reader(asked))
        )
    )
    if isinstance(found, GatewayzError):
        assert isinstance(found, ProviderFailed | InvalidRequest)
    else:
        found.decode()


CLAUDES = b'{"stop_reason":"tool_use","content":[{"type":"tool_use","id":"t","name":"f","input":%b}]}'
GEMINIS = b'{"candidates":[{"finishReason":"STOP","content":{"parts":[{"functionCall":{"name":"f","args":%b}}]}}]}'


@pytest.mark.parametrize(("dialect", "body"), [("anthropic", CLAUDES), ("gemini", GEMINIS)])
def test_arguments_that_are_no_utf_8_are_the_providers_failure(dialect: str, body: bytes) -> None:
    asked = attempt({})
    assert isinstance(
        tried(lambda: answer_of(asked, body % b'{"a":"\xff"}', WIRES[dialect].reader(asked))), ProviderFailed
    )
    assert isinstance(tried(lambda: answer_of(asked, body % b'{"a":"x"}', WIRES[dialect].reader(asked))), bytes)


def counted(form: dict[str, Any]) -> list[int]:
    return [form["usage"][name] for name in ("prompt_tokens", "completion_tokens", "total_tokens")]


REQUEST: dict[str, Any] = {
    "model": "m",
    "messages": [
        {"role": "system", "content": [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}]},
        {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,QUJD"}}]},
        {
            "role": "assistant",
            "content": "Hm",
            "reasoning_details": [{"type": "reasoning.text", "index": 0, "text": "x", "signature": "y"}],
            "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}}],
        },
        {"role": "tool", "tool_call_id": "c", "content": "result"},
    ],
    "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}, "strict": True}}],
    "tool_choice": {"type": "function", "function": {"name": "f"}},
    "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}}},
    "stop": ["x"],
    "temperature": 0.5,
    "max_tokens": 5000,
    "reasoning": {"effort": "low"},
    "stream_options": {"include_usage": True},
    "user": "me",
}


@EITHER
@given(request=spoiled(REQUEST).filter(lambda request: isinstance(request, dict)))
def test_a_spoiled_request_is_asked_or_refused_by_its_field(dialect: str, request: dict[str, Any]) -> None:
    found = tried(lambda: msgspec.json.encode(WIRES[dialect].question(attempt(request)).body))
    if isinstance(found, GatewayzError):
        assert isinstance(found, InvalidRequest | NotSupported)
        assert found.param in {*REQUEST, "max_completion_tokens"}
    else:
        assert isinstance(json.loads(found), dict)
