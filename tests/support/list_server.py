"""A fake for the model lists of providers, on loopback.

    /shapes/{name}/models        a recorded list of tests/fixtures/lists
    /openrouter/models           a list in OpenRouter's shape (`--openrouter FILE`, else the recorded one)
    /price-map/{provider}        untouched entries of a price map (`--price-map FILE`, else the recorded one)
    /synthetic/{n}/models        n models: real prices under made-up ids, in OpenRouter's shape;
                                 with `?changed=m` the first m of them cost twice as much
    /failing/{mode}/models       see FAILURES

Run it by hand: `python -m tests.support.list_server --port 8900`.
"""

import argparse
import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from decimal import Decimal
from itertools import cycle, islice
from pathlib import Path

from aiohttp import web
from genai_prices.data import providers as priced_providers
from genai_prices.types import ModelPrice

FIXTURES = Path(__file__).parent.parent / "fixtures" / "lists"

JSON = "application/json"
Failure = Callable[[web.Request], Awaitable[web.StreamResponse]]


class ListServer:
    """`url` is known once it runs. `asked` holds every request, as (path with query, headers)."""

    def __init__(self, openrouter: Path | None = None, price_map: Path | None = None) -> None:
        self.url = ""
        self.asked: list[tuple[str, Mapping[str, str]]] = []
        self._openrouter = (openrouter or FIXTURES / "openrouter.json").read_bytes()
        self._price_map = json.loads((price_map or FIXTURES / "price_map.json").read_bytes())

    @asynccontextmanager
    async def running(self, port: int = 0) -> AsyncIterator["ListServer"]:
        # A slow answer ends when its caller leaves, and never holds up the end of a test.
        runner = web.AppRunner(self._app(), handler_cancellation=True, shutdown_timeout=0.1, access_log=None)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", port).start()
            self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
            yield self
        finally:
            await runner.cleanup()

    def _app(self) -> web.Application:
        app = web.Application(middlewares=[self._noted])
        app.add_routes(
            [
                web.get("/shapes/{name}/models", self._shape),
                web.get("/openrouter/models", self._openrouter_list),
                web.get("/price-map/{provider}", self._prices_of),
                web.get("/price-map/{provider}/models", self._prices_of),
                web.get("/synthetic/{n:[0-9]+}/models", self._synthetic),
                web.get("/failing/{mode}/models", self._failing),
            ]
        )
        return app

    @web.middleware
    async def _noted(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        self.asked.append((request.path_qs, dict(request.headers)))
        return await handler(request)

    async def _shape(self, request: web.Request) -> web.Response:
        path = FIXTURES / f"{request.match_info['name']}.json"
        if path.name not in {known.name for known in FIXTURES.glob("*.json")}:
            raise web.HTTPNotFound
        return web.Response(body=path.read_bytes(), content_type=JSON)

    async def _openrouter_list(self, _: web.Request) -> web.Response:
        return web.Response(body=self._openrouter, content_type=JSON)

    async def _prices_of(self, request: web.Request) -> web.Response:
        provider = request.match_info["provider"]
        entries = {key: entry for key, entry in self._price_map.items() if entry.get("litellm_provider") == provider}
        if not entries:
            raise web.HTTPNotFound
        return web.json_response(entries)

    async def _synthetic(self, request: web.Request) -> web.Response:
        count, changed = int(request.match_info["n"]), int(request.query.get("changed", "0"))
        return web.json_response({"data": list(islice(synthetic_rows(changed), count))})

    async def _failing(self, request: web.Request) -> web.StreamResponse:
        failure = FAILURES.get(request.match_info["mode"])
        if failure is None:
            raise web.HTTPNotFound
        return await failure(request)


def synthetic_rows(changed: int = 0) -> Iterator[dict[str, object]]:
    """Endless rows in OpenRouter's shape: real names and prices, each id made up and used once."""
    priced = [
        (provider.id, model.id.rsplit("/", 1)[-1], model.name, model.context_window, prices)
        for provider in priced_providers
        for model in provider.models
        if isinstance(prices := model.prices, ModelPrice)
    ]
    for number, (author, slug, name, context, prices) in enumerate(cycle(priced)):
        factor = 2 if number < changed else 1
        yield {
            "id": f"{author}/{slug}-{number}",
            "name": f"{name or slug} {number}",
            "created": 1_700_000_000 + number,
            "description": "Made up of real parts, to measure with.",
            "context_length": context,
            "architecture": {
                "modality": "text->text",
                "input_modalities": ["text"],
                "output_modalities": ["text"],
            },
            "pricing": {
                field: format(price * factor / 1_000_000, "f")
                for field, unit in (("prompt", "input_mtok"), ("completion", "output_mtok"))
                if isinstance(price := vars(prices).get(unit), Decimal)
            },
            "supported_parameters": ["max_tokens", "temperature", "tools"],
        }


async def _error(_: web.Request) -> web.StreamResponse:
    return web.json_response({"error": "out of order"}, status=500)


async def _unauthorized(request: web.Request) -> web.StreamResponse:
    """Refuses, and repeats the key it was shown, as some do."""
    return web.json_response({"error": f"bad key {request.headers.get('Authorization')}"}, status=401)


async def _slow(_: web.Request) -> web.StreamResponse:
    await asyncio.Event().wait()
    raise AssertionError("nobody sets this event")


async def _truncated(_: web.Request) -> web.StreamResponse:
    body = (FIXTURES / "openrouter.json").read_bytes()
    return web.Response(body=body[: len(body) // 2], content_type=JSON)


async def _cut_off(request: web.Request) -> web.StreamResponse:
    """Promises more than it sends, then drops the connection."""
    response = web.StreamResponse(headers={"Content-Length": "100000", "Content-Type": JSON})
    await response.prepare(request)
    await response.write(b'{"data": [')
    assert request.transport is not None
    request.transport.close()
    return response


async def _html(_: web.Request) -> web.StreamResponse:
    return web.Response(text="<!doctype html><title>Just a moment…</title>", content_type="text/html")


async def _empty(_: web.Request) -> web.StreamResponse:
    return web.json_response({"data": []})


async def _half(_: web.Request) -> web.StreamResponse:
    """Valid, but with only half of the rows that /openrouter has in the recorded list."""
    rows = json.loads((FIXTURES / "openrouter.json").read_bytes())["data"]
    return web.json_response({"data": rows[: len(rows) // 2]})


async def _no_rows(_: web.Request) -> web.StreamResponse:
    return web.json_response({"error": {"message": "try again"}})


async def _endless(request: web.Request) -> web.StreamResponse:
    """Every page names a new next one."""
    page = int(request.query.get("after_id", "0")) + 1
    return web.json_response({"data": [{"id": f"model-{page}"}], "has_more": True, "last_id": str(page)})


async def _circling(_: web.Request) -> web.StreamResponse:
    """Every page names the same next one."""
    return web.json_response({"data": [{"id": "model"}], "has_more": True, "last_id": "model"})


async def _paged(request: web.Request) -> web.StreamResponse:
    """Works: three pages by after_id."""
    page = int(request.query.get("after_id", "0")) + 1
    return web.json_response({"data": [{"id": f"model-{page}"}], "has_more": page < 3, "last_id": str(page)})


async def _elsewhere(_: web.Request) -> web.StreamResponse:
    raise web.HTTPFound("http://other.invalid/models")


async def _moved(_: web.Request) -> web.StreamResponse:
    """Works: the list has moved on the same host."""
    raise web.HTTPPermanentRedirect("/openrouter/models")


async def _round_and_round(request: web.Request) -> web.StreamResponse:
    raise web.HTTPFound(request.path)


FAILURES: Mapping[str, Failure] = {
    "500": _error,
    "401": _unauthorized,
    "slow": _slow,
    "truncated": _truncated,
    "cut-off": _cut_off,
    "html": _html,
    "empty": _empty,
    "half": _half,
    "no-rows": _no_rows,
    "endless": _endless,
    "circling": _circling,
    "paged": _paged,
    "elsewhere": _elsewhere,
    "moved": _moved,
    "redirect-loop": _round_and_round,
}


async def _serve(arguments: argparse.Namespace) -> None:
    server = ListServer(arguments.openrouter, arguments.price_map)
    async with server.running(arguments.port):
        print(server.url, flush=True)  # noqa: T201  whoever starts it by hand needs the address
        await asyncio.Event().wait()


def main() -> None:
    parser = argparse.ArgumentParser(description="Serve fake model lists on loopback.")
    parser.add_argument("--price-map", type=Path, help="a JSON map from model id to prices")
    parser.add_argument("--openrouter", type=Path, help="a list in OpenRouter's shape")
    parser.add_argument("--port", type=int, default=0)
    try:
        asyncio.run(_serve(parser.parse_args()))
    except KeyboardInterrupt:
        return


if __name__ == "__main__":
    main()
