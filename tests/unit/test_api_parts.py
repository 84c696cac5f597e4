import asyncio
import json
import zlib
from decimal import Decimal
from typing import Any

import pytest
import zstandard
from fastapi import APIRouter

from gatewayz.api.catalog import catalog_routes
from gatewayz.api.control_plane import control_plane
from gatewayz.api.errors import STATUS, error_body, error_headers
from gatewayz.api.inference_app import CHAT_PATH
from gatewayz.api.negotiation import choose_coding, is_known_to_client
from gatewayz.api.page import Doorkeeper, Page, PageMemory
from gatewayz.api.parameters import Amount, Choice, Flag, Query, Text, Whole
from gatewayz.core.errors import ErrorKind, GatewayzError, InvalidRequest

PARAMETERS = (
    Whole("limit", "", 1, 1000),
    Whole("offset", "", 0, 10, default=0),
    Amount("price", ""),
    Choice("order", "", ("asc", "desc"), "asc"),
    Flag("all", ""),
    Text("q", "", longest=5),
)
DEFAULTS = {"limit": None, "offset": 0, "price": None, "order": "asc", "all": False, "q": None}


@pytest.mark.parametrize(
    ("query", "values"),
    [
        (b"", {}),
        (b"&", {}),
        (b"limit=1", {"limit": 1}),
        (b"limit=0001000", {"limit": 1000}),
        (b"offset=0&limit=5", {"offset": 0, "limit": 5}),
        (b"price=0", {"price": Decimal(0)}),
        (b"price=1.5e-7", {"price": Decimal("0.00000015")}),
        (b"order=desc", {"order": "desc"}),
        (b"all=true", {"all": True}),
        (b"all=TRUE", {"all": True}),
        (b"all=0", {"all": False}),
        (b"q=a+b%20c", {"q": "a b c"}),
        (b"q=%E2%82%AC", {"q": "€"}),
        (b"q=a%26b%3Dc", {"q": "a&b=c"}),
        (b"%71=x", {"q": "x"}),
    ],
)
def test_a_query_is_read_into_values_and_defaults(query: bytes, values: dict[str, Any]) -> None:
    assert Query(PARAMETERS).read(query) == DEFAULTS | values


@pytest.mark.parametrize(
    ("query", "param"),
    [
        (b"limit=0", "limit"),
        (b"limit=1001", "limit"),
        (b"limit=-1", "limit"),
        (b"limit=--1", "limit"),
        (b"limit=+1", "limit"),
        (b"limit=1.0", "limit"),
        (b"limit=1e2", "limit"),
        (b"limit=1_0", "limit"),
        (b"limit=0x10", "limit"),
        (b"limit=", "limit"),
        (b"limit=%C2%B2", "limit"),
        (b"limit=%D9%A1", "limit"),
        (b"limit=" + b"9" * 2000, "limit"),
        (b"limit=1&limit=1", "limit"),
        (b"limit=1&%6Cimit=1", "limit"),
        (b"price=-0.1", "price"),
        (b"price=NaN", "price"),
        (b"price=sNaN", "price"),
        (b"price=-Infinity", "price"),
        (b"price=1_000", "price"),
        (b"price=%D9%A1", "price"),
        (b"price=cheap", "price"),
        (b"price=", "price"),
        (b"price=1e99999999999999999999", "price"),
        (b"order=ASC", "order"),
        (b"order=", "order"),
        (b"all=yes", "all"),
        (b"all", "all"),
        (b"q=", "q"),
        (b"q=abcdef", "q"),
        (b"Limit=1", "Limit"),
        (b"=1", ""),
        (b"limit%00=1", "limit\0"),
        (b"nothing=1", "nothing"),
    ],
)
def test_a_bad_value_or_an_unknown_name_is_refused_by_name(query: bytes, param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        Query(PARAMETERS).read(query)
    assert caught.value.param == param
    assert repr(param) in caught.value.message
    assert len(caught.value.message) < 500


@pytest.mark.parametrize("query", [b"q=%FF", b"q=%C3%28", b"q=\xe2\x82", b"a=" + b"x" * 5000, b"&".join([b"a=1"] * 99)])
def test_a_query_that_cannot_be_read_is_refused(query: bytes) -> None:
    with pytest.raises(InvalidRequest):
        Query(PARAMETERS).read(query)


@pytest.mark.parametrize(
    ("accepted", "coding"),
    [
        (b"", "identity"),
        (b"gzip", "gzip"),
        (b"gzip, deflate, br", "gzip"),
        (b"gzip, deflate, br, zstd", "zstd"),
        (b"GZIP", "gzip"),
        (b"*", "zstd"),
        (b"zstd;q=0, *", "gzip"),
        (b"*;q=0", "identity"),
        (b"zstd;q=0.1, gzip;q=0.9", "gzip"),
        (b"gzip;q=0", "identity"),
        (b"gzip ; q = 0.5", "gzip"),
        (b"gzip;q=1.000", "gzip"),
        (b"identity;q=0, gzip", "gzip"),
        (b"identity;q=0", "identity"),
        (b"identity, gzip;q=0.5", "identity"),
        (b"identity;q=0.5, gzip;q=1", "gzip"),
        (b"identity, gzip", "gzip"),
        (b"br", "identity"),
        (b"gzip;q=nonsense", "identity"),
        (b"gzip;q=", "identity"),
        (b"gzip;q=nan", "identity"),
        (b",,;;=,", "identity"),
        (b"\xff\xfe", "identity"),
    ],
)
def test_the_coding_is_the_best_that_the_client_admits(accepted: bytes, coding: str) -> None:
    assert choose_coding(accepted) == coding


@pytest.mark.parametrize(
    ("condition", "is_known"),
    [
        (b'"a"', True),
        (b'W/"a"', True),
        (b'"x", "a"', True),
        (b'"x" ,W/"a"', True),
        (b'"a-gzip"', False),
        (b"*", True),
        (b" * ", True),
        (b'"x"', False),
        (b"a", False),
        (b"", False),
        (b'"a', False),
    ],
)
def test_a_client_knows_an_answer_by_the_tag_of_the_coding_it_would_get(condition: bytes, *, is_known: bool) -> None:
    assert is_known_to_client(condition, b'"a"') is is_known


BODIES = [b"x" * 10, b"x" * 5_000, bytes(range(256)) * 400]


@pytest.mark.parametrize("body", BODIES)
async def test_every_variant_of_a_page_says_the_same(body: bytes) -> None:
    page = Page(body, body)
    gzipped, zipped = await page.variant("gzip"), await page.variant("zstd")
    if len(body) < 1024:
        assert gzipped.body == zipped.body == body
    else:
        assert zlib.decompress(gzipped.body, zlib.MAX_WBITS | 16) == body
        assert zstandard.ZstdDecompressor().decompress(zipped.body) == body


async def test_each_coding_has_a_tag_of_its_own_that_hangs_on_the_digest_alone() -> None:
    body = b"x" * 5_000

    async def tags(digest: bytes) -> list[bytes]:
        page = Page(body, digest)
        variants = [await page.variant(coding) for coding in ("identity", "gzip", "zstd")]
        etags = [variant.etag for variant in variants]
        assert [dict(variant.headers)[b"etag"] for variant in variants] == etags
        assert [dict(variant.not_modified_headers)[b"etag"] for variant in variants] == etags
        return etags

    one, two = await tags(b"1"), await tags(b"2")
    assert len({*one, *two}) == 6
    assert await tags(b"1") == one


async def test_a_large_page_is_compressed_once_for_all_who_ask_even_if_the_first_leaves() -> None:
    page = Page(BODIES[-1], b"")
    first = asyncio.create_task(page.variant("gzip"))
    others = [asyncio.create_task(page.variant("gzip")) for _ in range(5)]
    await asyncio.wait({first}, timeout=0)
    first.cancel()
    variants = await asyncio.gather(*others)
    assert len({id(variant) for variant in variants}) == 1
    assert page.ready("gzip") is variants[0]
    assert first.cancelled()


def test_the_memory_of_pages_gives_up_the_least_recently_used() -> None:
    memory = PageMemory(3 * 20_000)
    for name in ("/a", "/b", "/c"):
        memory.put((name, b""), Page(b"x" * 12_000, b""))
    assert memory.get(("/a", b"")) is not None
    memory.put(("/d", b""), Page(b"x" * 12_000, b""))
    assert memory.get(("/b", b"")) is None
    assert all(memory.get((name, b"")) is not None for name in ("/a", "/c", "/d"))


def test_the_memory_of_pages_is_bounded_for_empty_pages_as_well() -> None:
    """Whoever asks for one offset after the other past the end must not fill the worker's memory."""
    memory = PageMemory(1_000_000)
    for number in range(2_000):
        memory.put(("/v1/models", b"offset=%d" % number), Page(b"{}", b""))
    kept = sum(memory.get(("/v1/models", b"offset=%d" % number)) is not None for number in range(2_000))
    assert 0 < kept < 500


def test_a_page_is_admitted_to_memory_when_it_is_asked_for_again() -> None:
    doorkeeper = Doorkeeper()
    assert not doorkeeper.admits(("/a", b""))
    assert doorkeeper.admits(("/a", b""))


def test_the_doorkeeper_forgets_who_asked_long_ago() -> None:
    doorkeeper = Doorkeeper()
    doorkeeper.admits(("/a", b""))
    for number in range(2_000):
        doorkeeper.admits(("/models", b"offset=%d" % number))
    assert not doorkeeper.admits(("/a", b""))


def test_a_page_larger_than_the_bound_is_kept_alone() -> None:
    memory = PageMemory(10)
    memory.put(("/small", b""), Page(b"x", b""))
    memory.put(("/large", b""), Page(b"x" * 100, b""))
    assert memory.get(("/small", b"")) is None
    assert memory.get(("/large", b"")) is not None


def test_replacing_a_page_does_not_leak_its_bytes() -> None:
    memory = PageMemory(20_000)
    memory.put(("/other", b""), Page(b"x", b""))
    for _ in range(50):
        memory.put(("/a", b""), Page(b"x" * 1_000, b""))
    assert memory.get(("/other", b"")) is not None


@pytest.mark.parametrize("kind", ErrorKind)
def test_every_kind_of_error_has_a_status_and_a_body_in_openais_form(kind: ErrorKind) -> None:
    assert 400 <= STATUS[kind] <= 599
    body = json.loads(error_body(GatewayzError("what and why", param="field", kind=kind)))
    assert set(body) == {"error"}
    assert body["error"]["message"] == "what and why"
    assert body["error"]["param"] == "field"
    assert body["error"]["code"] == str(kind)
    expected = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}.get(
        STATUS[kind], "api_error" if STATUS[kind] >= 500 else "invalid_request_error"
    )
    assert body["error"]["type"] == expected


def test_the_status_table_names_nothing_but_kinds() -> None:
    assert set(STATUS) == set(ErrorKind)


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    app = control_plane([APIRouter()], catalog_routes(frozenset()))
    app.openapi()
    document: dict[str, Any] = json.loads(json.dumps(app.openapi()))
    return document


def test_the_document_has_every_hot_route(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.1")
    wanted = {path for route in catalog_routes(frozenset()) for path in route.paths}
    assert {*wanted, CHAT_PATH} <= set(document["paths"])
    assert "post" in document["paths"][CHAT_PATH]


def test_every_operation_of_the_document_is_sound(document: dict[str, Any]) -> None:
    schemes = document["components"]["securitySchemes"]
    for path, item in document["paths"].items():
        for operation in item.values():
            parameters = operation.get("parameters", [])
            names = [(each["in"], each["name"]) for each in parameters]
            assert len(set(names)) == len(names), path
            in_path = {part[1:-1] for part in path.split("/") if part.startswith("{")}
            assert {name for place, name in names if place == "path"} == in_path
            assert all(each["required"] for each in parameters if each["in"] == "path")
            assert all("type" in each["schema"] for each in parameters)
            assert all(response["description"] for response in operation["responses"].values())
            for requirement in operation.get("security", []):
                assert set(requirement) <= set(schemes)


def test_a_default_in_the_document_is_one_that_is_read_back(document: dict[str, Any]) -> None:
    for route in catalog_routes(frozenset()):
        for parameter in route.parameters:
            if parameter.default is not None:
                text = str(parameter.default).lower()
                assert parameter.read(text) == parameter.default, (route.paths, parameter.name)
    limit = document["paths"]["/v1/models/unique"]["get"]["parameters"][0]
    assert limit["schema"] == {"type": "integer", "minimum": 1, "maximum": 1000, "default": 100}


@pytest.mark.parametrize("kind", ErrorKind)
def test_who_may_ask_again_is_told_when_and_who_need_not_is_told_so(kind: ErrorKind) -> None:
    error = GatewayzError("m", kind=kind)
    final = {"insufficient_quota", "rate_limit_exceeded", "provider_not_configured", "not_cached"}
    assert error_headers(error) == ({"x-should-retry": "false"} if kind in final else {})
    error.retry_after = 0.2
    assert error_headers(error) == {"retry-after": "1"}
    error.retry_after = 7.1
    assert error_headers(error) == {"retry-after": "8"}
