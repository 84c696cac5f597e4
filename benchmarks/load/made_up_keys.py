"""What a flood of made-up keys does to one worker: the latency of a good key beside it, look-ups, memory."""

import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

from msgspec.structs import replace

from benchmarks.load.driver import Expected, get, one_at_a_time
from benchmarks.load.lab import Lab, made_key
from benchmarks.load.servers import Server, fetch, gateway
from benchmarks.machine import ROOT
from benchmarks.options import Options, Tell
from benchmarks.result import Bar, Figure

RATE = 1000.0
# A made-up key in the form of ours is refused by its checksum; of others nobody can tell without a look-up.
FORMS = {"our form": "gw_live_{}", "another form": "old-key-{}"}
_ADMIN = "benchmark-admin-key"
_BURST, _A_SECOND = 200, 20
_OWN = 4  # the good key and the admin key, when their five minutes are over
_LATENCIES = 4000


def run(lab: Lab, options: Options, tell: Tell) -> Iterator[Figure]:
    installed = lab.empty("made-up-keys")
    installed = replace(installed, environment={**installed.environment, "GATEWAYZ_ADMIN_KEY": _ADMIN})
    with gateway(installed) as server:
        good = made_key(installed)
        for name, form in FORMS.items():
            tell(f"{options.made_up_keys:,} made-up keys in {name}, {RATE:,.0f} a second")
            yield from _beside(server, good, name, form, options.made_up_keys)


def _beside(server: Server, key: str, name: str, form: str, count: int) -> Iterator[Figure]:
    alone = _latencies(server, key, _LATENCIES)
    before, memory = _loads(server), server.workers[0].memory_info().rss
    command = [sys.executable, "-m", "benchmarks.load.flood", str(server.address[1]), form, str(count), str(RATE)]
    flooded: list[float] = []
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as flood:
        while flood.poll() is None:
            flooded += _latencies(server, key, _LATENCIES // 8)
        said: dict[str, Any] = json.loads(flood.communicate()[0])
    allowed = _BURST + _A_SECOND * said["seconds"] + _OWN
    grown = (server.workers[0].memory_info().rss - memory) / 1e6
    flooded.sort()
    for share in (0.5, 0.99):
        ours, peer = (times[int(len(times) * share)] for times in (flooded, alone))
        bar = (
            Bar("at most twice that alone", lambda _, ratio: ratio is not None and ratio >= 0.5)
            if share > 0.5
            else None
        )
        yield Figure(
            name=f"a good key beside a flood of made-up ones in {name}, p{100 * share:.0f}",
            unit="µs",
            ours=ours,
            peers={"alone": peer},
            ratio=peer / ours,
            bar=bar,
        )
    looked_up = _loads(server) - before
    yield Figure(
        name=f"look-ups for {count:,} made-up keys in {name}, {said['seconds']:.0f} s",
        unit="look-ups",
        ours=looked_up,
        bar=Bar.at_most(round(allowed) if name != "our form" else 0, "look-ups"),
    )
    yield Figure(name=f"memory that {count:,} made-up keys in {name} took", unit="MB", ours=grown)


def _latencies(server: Server, key: str, count: int) -> list[float]:
    """Of a request that is only authenticated: it names a route of its own, whose parameter is refused."""
    request = get(server.address, "/v1/key?x=1", [("authorization", f"Bearer {key}")])
    return one_at_a_time(server.address, [request], Expected(status=400), count=count)


def _loads(server: Server) -> int:
    answer = fetch(server.address, "/api/system/cache/stats", [("authorization", f"Bearer {_ADMIN}")])
    loads: int = json.loads(answer.body)["entities"]["auth:key"]["counts"]["loads"]
    return loads
