"""Requests made of the OpenAPI document, right ones and wrong ones: no answer but those that it tells of."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import nullcontext, suppress
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, Verbosity, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from tests.support.gateway import RunningGateway, parts_of, running_gateway

from gatewayz.accounts.scopes import ADMIN
from gatewayz.embedded.servers import Servers

EXAMPLES = 20
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
ERROR_FIELDS = {"message", "type", "param", "code"}
OTHER_ERROR_FIELDS = {path: {"message", "type"} for path in ("/v1/messages", "/v1/messages/count_tokens")}
"""By path: where errors are in the form of another."""


@pytest.fixture(scope="module")
async def gateway(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunningGateway]:
    """One whose accounts and keys may be ruined."""
    async with running_gateway(servers, tmp_path_factory.mktemp("fuzzed")) as running:
        yield running


@pytest.fixture(scope="module")
async def admin(gateway: RunningGateway) -> str:
    async with parts_of(gateway.settings) as parts:
        return (await parts.keys.create(name="admin", account="fuzzing admin", scopes=(ADMIN,))).secret


class Fuzz:
    """In a thread: the gateway answers in the event loop of the tests. `answers` counts statuses by operation."""

    def __init__(self, gateway: RunningGateway, keys: Mapping[str, str]) -> None:
        self._gateway = gateway
        self._keys = keys
        self.answers: Counter[tuple[str, int]] = Counter()

    def run(self) -> None:
        document = requests.get(f"{self._gateway.url}/openapi.json", timeout=60).json()
        schema = schemathesis.openapi.from_dict(document)
        for found in schema.get_all_operations():
            assert isinstance(found, Ok), found
            for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
                self._operation(found.ok(), mode)

    def _operation(self, operation: Any, mode: GenerationMode) -> None:  # noqa: ANN401  the library's
        name = f"{operation.method.upper()} {operation.path}"
        key = self._keys["admin" if operation.path.startswith(("/admin", "/api/system")) else "customer"]
        headers = {"Authorization": f"Bearer {key}"}

        @settings(
            max_examples=EXAMPLES,
            derandomize=True,
            database=None,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
            verbosity=Verbosity.quiet,
        )
        @given(case=operation.as_strategy(generation_mode=mode))
        def ask(case: Any) -> None:  # noqa: ANN401  the library's
            answer = case.call(base_url=self._gateway.url, headers=headers, timeout=60)
            self.answers[name, answer.status_code] += 1
            case.validate_response(answer, checks=CHECKS)
            if answer.status_code >= 400 and operation.method.upper() != "HEAD":
                assert answer.json()["error"].keys() == OTHER_ERROR_FIELDS.get(operation.path, ERROR_FIELDS)

        # Where nothing can be sent there is nothing to spoil.
        with suppress(Unsatisfiable) if mode is GenerationMode.NEGATIVE else nullcontext():
            ask()


@pytest.mark.slow
async def test_no_request_is_answered_but_as_the_document_says(gateway: RunningGateway, admin: str) -> None:
    fuzz = Fuzz(gateway, {"admin": admin, "customer": gateway.api_key})
    await asyncio.to_thread(fuzz.run)
    well = {name for name, status in fuzz.answers if status < 300}
    assert len(well) > 15, "requests that are right are answered, not only refused"
    async with gateway.client(Authorization=f"Bearer {admin}") as client, client.get(gateway.at("/admin/keys")) as last:
        assert last.status == 200, "it has not shut itself out, which would leave the rest untried"
