"""What HTTP itself asks: tags, codings, methods, ids of requests, limits of bodies."""

import asyncio
import json
import zlib
from collections.abc import AsyncIterator, Callable
from io import BytesIO

import pytest
import zstandard
from multidict import CIMultiDictProxy
from tests.support.gateway import SMALL_CATALOG, RunningGateway, import_lists, listed, listing, parts_of

DECODERS: dict[str, Callable[[bytes], bytes]] = {
    "identity": lambda body: body,
    "gzip": lambda body: zlib.decompress(body, zlib.MAX_WBITS | 16),
    "zstd": lambda body: zstandard.ZstdDecompressor().decompress(body),
}
CHAT = "/v1/chat/completions"


async def answer(
    gateway: RunningGateway, path: str, method: str = "GET", **headers: str
) -> tuple[int, CIMultiDictProxy[str], bytes]:
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    async with gateway.client() as client, client.request(method, gateway.at(path), headers=names) as response:
        return response.status, response.headers, await response.read()


@pytest.mark.parametrize("path", ["/v1/models", "/v1/models?limit=40", "/v1/models?limit=1", "/v1/models/unique"])
@pytest.mark.parametrize("coding", ["gzip", "zstd"])
async def test_a_coded_answer_decodes_to_the_plain_bytes(gateway: RunningGateway, path: str, coding: str) -> None:
    _, plain_headers, plain = await answer(gateway, path)
    _, headers, coded = await answer(gateway, path, accept_encoding=coding)
    used = headers.get("content-encoding", "identity")
    assert used == (coding if len(plain) >= 1024 else "identity")
    assert DECODERS[used](coded) == plain
    assert headers["vary"] == plain_headers["vary"] == "accept-encoding"
    if used != "identity":
        assert headers["etag"] != plain_headers["etag"]
        assert len(coded) < len(plain)


@pytest.mark.parametrize("coding", ["identity", "gzip", "zstd"])
async def test_the_tag_of_an_answer_gets_a_304_without_a_body(gateway: RunningGateway, coding: str) -> None:
    status, headers, _ = await answer(gateway, "/v1/models", accept_encoding=coding)
    assert status == 200
    tag = headers["etag"]
    for condition in (tag, f"W/{tag}", f'"other", {tag}', "*"):
        again, repeated, body = await answer(gateway, "/v1/models", accept_encoding=coding, if_none_match=condition)
        assert (again, body) == (304, b"")
        assert repeated["etag"] == tag
        assert repeated["x-request-id"]
        assert "content-type" not in repeated
    assert (await answer(gateway, "/v1/models", accept_encoding=coding, if_none_match='"other"'))[0] == 200


async def test_different_pages_have_different_tags(gateway: RunningGateway) -> None:
    paths = (
        "/v1/models",
        "/v1/models?limit=1",
        "/v1/models?limit=1&offset=1",
        "/v1/models?gateway=openai",
        "/v1/providers",
    )
    tags = {(await answer(gateway, path))[1]["etag"] for path in paths}
    assert len(tags) == len(paths)


async def test_the_tag_changes_when_only_the_last_model_changes(small_gateway: RunningGateway) -> None:
    """The system before this one had a tag over the first five models."""
    _, before, body = await answer(small_gateway, "/v1/models")
    last = json.loads(body)["data"][-1]
    openai = SMALL_CATALOG[0]
    assert last["provider"] == "openai"
    changed = [
        listed(model.native_id, "0.000000021", name=model.name)
        if model.native_id == last["provider_model_id"]
        else model
        for model in openai.models
    ]
    async with parts_of(small_gateway.settings) as parts:
        await import_lists(parts, [listing("openai", *changed)])
    status, after, changed_body = await answer(small_gateway, "/v1/models", if_none_match=before["etag"])
    assert status == 200
    assert after["etag"] != before["etag"]
    assert json.loads(changed_body)["data"][-1]["pricing"]["prompt"] == "0.000000021"
    assert json.loads(changed_body)["data"][:5] == json.loads(body)["data"][:5]


async def test_a_sync_that_changes_nothing_keeps_every_tag(small_gateway: RunningGateway) -> None:
    paths = ("/v1/models", "/v1/models/unique", "/v1/providers", "/v1/catalog/stats")
    before = [(await answer(small_gateway, path))[1]["etag"] for path in paths]
    async with parts_of(small_gateway.settings) as parts:
        await import_lists(parts, SMALL_CATALOG)
    assert [(await answer(small_gateway, path))[1]["etag"] for path in paths] == before


@pytest.mark.parametrize("path", ["/v1/models", "/v1/models/openai/gpt-4o", "/v1/catalog/stats"])
async def test_head_says_what_get_says_but_for_the_body(gateway: RunningGateway, path: str) -> None:
    _, got, body = await answer(gateway, path)
    status, headers, nothing = await answer(gateway, path, method="HEAD")
    assert (status, nothing) == (200, b"")
    for name in ("content-type", "content-length", "etag", "vary", "cache-control"):
        assert headers[name] == got[name]
    assert int(headers["content-length"]) == len(body)


async def test_head_of_what_is_not_there_has_no_body_either(gateway: RunningGateway) -> None:
    status, _, body = await answer(gateway, "/v1/models/no/such", method="HEAD")
    assert (status, body) == (404, b"")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("POST", "/v1/models", "GET, HEAD"),
        ("DELETE", "/v1/models/openai/gpt-4o", "GET, HEAD"),
        ("GET", CHAT, "POST"),
        ("POST", "/health", "GET, HEAD"),
    ],
)
async def test_another_method_is_refused_with_the_ones_that_are_allowed(
    gateway: RunningGateway, method: str, path: str, allowed: str
) -> None:
    status, headers, body = await answer(gateway, path, method=method)
    assert status == 405
    assert headers["allow"] == allowed
    assert json.loads(body)["error"]["code"] == "method_not_allowed"


@pytest.mark.parametrize("path", ["/v1/models?limit=1", "/health", "/nothing", "/v1/models?bad=1"])
async def test_a_sane_request_id_comes_back_and_another_is_replaced(gateway: RunningGateway, path: str) -> None:
    assert (await answer(gateway, path, x_request_id="client-id_1.2:3"))[1]["x-request-id"] == "client-id_1.2:3"
    for offered in ("short", "x" * 129, "with space inside", "quote\"'<script>", "semi;colon;in;it", "ümläut-name"):
        given = (await answer(gateway, path, x_request_id=offered))[1].getall("x-request-id")
        assert len(given) == 1
        assert given[0].startswith("req_")


async def test_two_requests_have_two_ids(gateway: RunningGateway) -> None:
    first, second = [(await answer(gateway, "/health"))[1]["x-request-id"] for _ in range(2)]
    assert first != second


async def test_a_body_over_the_limit_is_refused_whether_it_says_its_length_or_not(gateway: RunningGateway) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(8):
            yield b"x" * 1024

    async with gateway.client(**gateway.bearer) as client:
        for body in (b"x" * 4097, chunks()):
            async with client.post(gateway.at(CHAT), data=body) as response:
                assert response.status == 413
                error = json.loads(await response.read())["error"]
                assert error["code"] == "request_too_large"
                assert "4096" in error["message"]


async def test_a_body_far_over_the_limit_is_refused_without_being_read(gateway: RunningGateway) -> None:
    async with (
        gateway.client(**gateway.bearer) as client,
        client.post(gateway.at(CHAT), data=BytesIO(b"x" * 20_000_000)) as response,
    ):
        assert response.status == 413


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (b"", None),
        (b"{", None),
        (b"[]", None),
        (b"null", None),
        (b"\xff\xfe", None),
        (b'{"messages": [1]}', "model"),
        (b'{"model": "demo/echo"}', "messages"),
        (b'{"model": 5, "messages": [1]}', "model"),
        (b'{"model": "demo/echo", "messages": {}}', "messages"),
        (b'{"model": "demo/echo", "messages": []}', "messages"),
        (b'{"model": "demo/echo", "messages": ["\xff"]}', None),
        (b'{"model": "demo/echo", "messages": ["\\ud800"]}', None),
        (b'{"model": "demo/echo", "messages": [1], "stream": "yes"}', "stream"),
        (b'{"model": "demo/echo", "messages": [' + b"[" * 1800 + b"]" * 1800 + b"]}", None),
        (b'{"model": "demo/echo", "messages": [{"role": "assistant", "content": "x"}]}', "messages"),
    ],
)
async def test_a_body_that_is_no_chat_request_is_refused_by_field(
    gateway: RunningGateway, body: bytes, param: str | None
) -> None:
    async with gateway.client(**gateway.bearer) as client, client.post(gateway.at(CHAT), data=body) as response:
        assert response.status == 400, await response.read()
        error = json.loads(await response.read())["error"]
        assert error["param"] == param
        assert error["code"] == "invalid_request"


@pytest.mark.parametrize("model", ["", "a\\u0000b", "x" * 3000, "no/\\u200bsuch", "' OR 1=1 --"])
async def test_a_strange_model_name_is_a_model_that_does_not_exist(gateway: RunningGateway, model: str) -> None:
    body = f'{{"model": "{model}", "messages": [{{"role": "user", "content": "x"}}]}}'.encode()
    async with gateway.client(**gateway.bearer) as client, client.post(gateway.at(CHAT), data=body) as response:
        assert response.status == 404, await response.read()
        assert json.loads(await response.read())["error"]["code"] == "model_not_found"


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": ""},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer "},
        {"Authorization": "Bearer gw_live_unknown"},
        {"Authorization": "Basic Z3c6bGl2ZQ=="},
        {"Authorization": "Bearer " + "x" * 5000},
        {"Authorization": "Bearer käse"},
        {"x-api-key": "gw_live_unknown"},
        {"x-api-key": ""},
    ],
)
async def test_without_a_valid_key_nobody_is_let_in(gateway: RunningGateway, headers: dict[str, str]) -> None:
    async with gateway.client(**headers) as client, client.post(gateway.at(CHAT), data=b"{}") as response:
        assert response.status == 401
        error = json.loads(await response.read())["error"]
        assert (error["code"], error["type"]) == ("invalid_api_key", "authentication_error")
        assert "gw_live_unknown" not in error["message"]


@pytest.mark.parametrize("form", ["Bearer {}", "bearer {}", "Bearer   {}"])
async def test_a_key_is_taken_as_a_bearer_in_any_letter_case(gateway: RunningGateway, form: str) -> None:
    body = b'{"model": "demo/echo", "messages": [{"role": "user", "content": "x"}]}'
    headers = {"Authorization": form.format(gateway.api_key)}
    async with gateway.client(**headers) as client, client.post(gateway.at(CHAT), data=body) as response:
        assert response.status == 200
        assert response.headers["x-gatewayz-provider"] == "demo"
    async with (
        gateway.client(**{"x-api-key": gateway.api_key}) as client,
        client.post(gateway.at(CHAT), data=body) as response,
    ):
        assert response.status == 200


async def test_a_revoked_key_is_refused_at_once(small_gateway: RunningGateway) -> None:
    body = b'{"model": "demo/echo", "messages": [{"role": "user", "content": "x"}]}'

    async def status() -> int:
        async with (
            small_gateway.client(**small_gateway.bearer) as client,
            client.post(small_gateway.at(CHAT), data=body) as response,
        ):
            return response.status

    assert await status() == 200
    async with parts_of(small_gateway.settings) as parts:
        (record,) = (await parts.keys.list_keys()).items
        await parts.keys.revoke(record.id)
        assert await status() == 401


async def test_a_hundred_at_once_get_the_same_bytes(gateway: RunningGateway) -> None:
    answers = await asyncio.gather(
        *(answer(gateway, "/v1/models/unique?limit=900", accept_encoding="zstd") for _ in range(100))
    )
    assert len({body for _, _, body in answers}) == 1


async def test_operations_answer_without_a_key(gateway: RunningGateway) -> None:
    assert json.loads((await answer(gateway, "/health"))[2]) == {"status": "ok"}
    status, body = await gateway.health()
    assert status == 200
    assert set(body["checks"]) == {"drain", "database", "redis", "catalog"}
    assert b"model_cache_hits_total" in (await answer(gateway, "/metrics"))[2]
    document = json.loads((await answer(gateway, "/openapi.json"))[2])
    assert {CHAT, "/v1/models", "/health/ready"} <= set(document["paths"])
