"""Traces of requests, as a receiver of OpenTelemetry's gets them."""

import subprocess
import sys
from collections.abc import AsyncIterator
from decimal import Decimal

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status
from tests.support.cached_chats import Caller
from tests.support.fake_upstream import FakeUpstream
from tests.support.gateway import RunningGateway, listed, listing, parts_of, running_gateway
from tests.support.otlp_receiver import OtlpReceiver, attributes

from gatewayz.core.money import nano_usd
from gatewayz.embedded.servers import Servers

MODEL = "acme/rocket-1"
LISTS = (listing("acme", listed("rocket-1", "0.001")), listing("beta", listed("acme/rocket-1", "0.002")))
TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
RECORDED, NOT_RECORDED = f"00-{TRACE}-{PARENT}-01", f"00-{TRACE}-{PARENT}-00"


class Traced:
    """What a gateway that had been asked this and that had sent by its end. `requests`: their ids by what they were."""

    def __init__(self, receiver: OtlpReceiver, upstream: FakeUpstream, requests: dict[str, str], key: str) -> None:
        self.receiver = receiver
        self.upstream = upstream
        self.requests = requests
        self.key = key

    def of(self, name: str) -> Span:
        return self.receiver.of(self.requests[name])


@pytest.fixture(scope="module")
async def traced(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Traced]:
    place = tmp_path_factory.mktemp("traced")
    async with OtlpReceiver().running() as receiver, FakeUpstream().running() as upstream:
        upstream.behaviours = {"acme": "answers"}
        providers = {
            "acme": {"base_url": upstream.base_url("acme"), "api_key": "sk-acme"},
            "beta": {"base_url": upstream.base_url("answers"), "api_key": "sk-beta"},
        }
        settings = {"responses": {"enabled": True}, "traces": {"endpoint": receiver.url}}
        async with running_gateway(servers, place, LISTS, providers=providers, **settings) as gateway:
            key, requests = await _drive(gateway, upstream)
        yield Traced(receiver, upstream, requests, key)


async def _drive(gateway: RunningGateway, upstream: FakeUpstream) -> tuple[str, dict[str, str]]:
    async with parts_of(gateway.settings) as parts:
        made = await parts.keys.create(name="test", account="test", credits=nano_usd(Decimal(1000)))
    caller, requests = Caller(gateway, made.secret), {}

    async def ask(name: str, question: str, headers: dict[str, str] | None = None, **fields: object) -> None:
        said = await caller.ask(question, headers, **fields)
        requests[name] = said.headers["x-request-id"]

    await ask("miss", "one", {"traceparent": RECORDED})
    await ask("hit", "one")
    await ask("stream", "two", stream=True)
    await ask("not recorded", "three", {"traceparent": NOT_RECORDED})
    upstream.behaviours["acme"] = "500"
    await ask("failover", "four", {"traceparent": "no such thing"})
    await ask("refused", "five", model="nobody/knows-me")
    return made.secret, requests


def test_a_request_goes_on_with_its_callers_trace_and_hands_it_to_the_provider(traced: Traced) -> None:
    request = traced.of("miss")
    assert (request.trace_id.hex(), request.parent_span_id.hex()) == (TRACE, PARENT)
    (attempt,) = traced.receiver.below(request)
    assert attempt.trace_id == request.trace_id
    sent = traced.upstream.asked[0].headers["traceparent"]
    assert sent == f"00-{TRACE}-{attempt.span_id.hex()}-01"


def test_spans_tell_what_became_of_a_request_in_the_words_of_the_conventions(traced: Traced) -> None:
    request = traced.of("miss")
    assert (request.name, request.kind) == (f"chat {MODEL}", Span.SPAN_KIND_SERVER)
    told = attributes(request.attributes)
    assert (
        told.items()
        >= {
            "http.request.method": "POST",
            "http.route": "/v1/chat/completions",
            "http.response.status_code": 200,
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": "acme",
            "gen_ai.response.model": MODEL,
            "gen_ai.usage.input_tokens": 1,
            "gen_ai.usage.output_tokens": 1,
            "gatewayz.cache.status": "miss",
        }.items()
    )
    assert told["gatewayz.cost_usd"] == pytest.approx(0.003)
    (attempt,) = traced.receiver.below(request)
    assert (attempt.name, attempt.kind) == (f"chat {MODEL}", Span.SPAN_KIND_CLIENT)
    assert (
        attributes(attempt.attributes).items()
        >= {"gen_ai.provider.name": "acme", "gen_ai.request.model": MODEL}.items()
    )
    inner, outer = _times(attempt), _times(request)
    assert outer[0] <= inner[0] <= inner[1] <= outer[1]
    (lookup,) = request.events
    assert lookup.name == "gatewayz.cache.lookup"
    assert attributes(lookup.attributes) == {"gatewayz.cache.status": "miss", "gatewayz.cache.detail": "absent"}
    assert outer[0] <= lookup.time_unix_nano <= inner[0]


def test_an_answer_from_the_cache_has_no_attempt(traced: Traced) -> None:
    request = traced.of("hit")
    told = attributes(request.attributes)
    assert (told["gatewayz.cache.status"], told["gatewayz.cost_usd"]) == ("hit", 0)
    assert told["gatewayz.saved_usd"] == pytest.approx(0.003)
    assert traced.receiver.below(request) == []
    assert request.trace_id.hex() != TRACE
    assert not request.parent_span_id


def test_a_stream_tells_when_its_first_chunk_came(traced: Traced) -> None:
    told = attributes(traced.of("stream").attributes)
    first = told["gen_ai.response.time_to_first_chunk"]
    assert told["gen_ai.request.stream"] is True
    assert isinstance(first, float)
    assert first > 0


def test_each_attempt_has_a_span_and_one_that_failed_says_how(traced: Traced) -> None:
    failed, answered = traced.receiver.below(traced.of("failover"))
    assert failed.status.code == Status.STATUS_CODE_ERROR
    told = attributes(failed.attributes)
    assert (told["error.type"], told["http.response.status_code"]) == ("provider_error", 500)
    assert attributes(answered.attributes)["gen_ai.provider.name"] == "beta"
    assert answered.status.code == Status.STATUS_CODE_UNSET
    passed_on = {asked.headers["traceparent"].split("-")[2] for asked in traced.upstream.asked}
    assert {failed.span_id.hex(), answered.span_id.hex()} <= passed_on


def test_what_its_caller_does_not_record_is_not_recorded_here_but_handed_on(traced: Traced) -> None:
    assert not [each for each in traced.receiver.spans if "three" in str(each)]
    with pytest.raises(ValueError, match="not enough values"):
        traced.of("not recorded")
    assert [asked.headers["traceparent"].endswith("-00") for asked in traced.upstream.asked].count(True) == 1


def test_a_refusal_says_why(traced: Traced) -> None:
    request = traced.of("refused")
    assert request.name == "POST /v1/chat/completions"
    assert attributes(request.attributes)["error.type"] == "model_not_found"


def test_spans_say_who_sent_them_and_nothing_secret(traced: Traced) -> None:
    assert all(each["service.name"] == "gatewayz" for each in traced.receiver.resources)
    text = str(traced.receiver.spans)
    for secret in (traced.key, "sk-acme", "Hello", "nobody/knows-me"):
        assert secret not in text


def test_nothing_of_it_is_imported_where_it_is_not_wanted() -> None:
    """Where it is installed the Redis client imports some of it for itself, and sends nothing."""
    asked = "import sys, gatewayz.worker; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True)
    imported = set(done.stdout.split())
    assert "gatewayz.worker" in imported
    assert not imported & {"gatewayz.telemetry.traces", "opentelemetry.exporter", "google.protobuf", "requests"}


def _times(span: Span) -> tuple[int, int]:
    return span.start_time_unix_nano, span.end_time_unix_nano
