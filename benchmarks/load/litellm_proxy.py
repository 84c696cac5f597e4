"""The LiteLLM proxy, from an environment of its own: `make peers-litellm` makes it."""

import json
import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import psutil
from msgspec import Struct

from benchmarks.load.process import DidNotStart, free_port, running, wait_until_answers
from benchmarks.load.servers import Server
from benchmarks.machine import ROOT

PROGRAM = ROOT / ".venv-litellm" / "bin" / "litellm"

# No network: the price list is the one that came with it, and nothing is told to its makers.
_QUIET = {
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "LITELLM_TELEMETRY": "False",
    "LITELLM_MODE": "PRODUCTION",
    "LITELLM_LOG": "ERROR",
    "DISABLE_ADMIN_UI": "True",
    "NO_DOCS": "True",
    "NO_PROXY": "*",
}


class Proxy(Struct, frozen=True):
    """`key` is its master key: without a database it has no others."""

    server: Server
    key: str


@contextmanager
def litellm_proxy(
    place: Path, models: Mapping[str, str], redis_port: int, *, core: int | None = None, within: float = 180
) -> Iterator[Proxy]:
    """One worker, once it is ready; answers are kept in Redis. `models`: the base URL of each, by its name."""
    if not PROGRAM.exists():
        raise DidNotStart(f"there is no {str(PROGRAM)!r}: run make peers-litellm")
    key, port, log = f"sk-{secrets.token_urlsafe(48)}", free_port(), place / "litellm.log"
    settings = place / "litellm.json"  # is YAML as well
    settings.write_text(json.dumps(_settings(models, redis_port, key)))
    words = ["--config", str(settings), "--host", "127.0.0.1", "--port", str(port), "--num_workers", "1"]
    command = [str(PROGRAM), *words, "--telemetry", "False"]
    environment = {**_QUIET, "PATH": os.environ["PATH"], "HOME": str(place)}
    with running(command, environment=environment, directory=place, log=log, core=core) as process:
        wait_until_answers(process, port, "/health/readiness", log=log, within=within)
        yield Proxy(Server(("127.0.0.1", port), (psutil.Process(process.pid),)), key)


def _settings(models: Mapping[str, str], redis_port: int, key: str) -> Mapping[str, object]:
    """Priced by hand, as a model that it knows no price of costs it more."""
    priced = {"input_cost_per_token": 1e-6, "output_cost_per_token": 1e-6}
    return {
        "model_list": [
            {
                "model_name": name,
                "litellm_params": {"model": f"openai/{name}", "api_base": url, "api_key": "sk-made-up", **priced},
            }
            for name, url in models.items()
        ],
        "litellm_settings": {
            "cache": True,
            "cache_params": {"type": "redis", "host": "127.0.0.1", "port": redis_port, "ttl": 3600},
            "telemetry": False,
            "num_retries": 0,
        },
        "general_settings": {"master_key": key},
    }
