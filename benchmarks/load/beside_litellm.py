"""One worker beside one of the LiteLLM proxy, both before the same upstream and the same Redis, in turn on one core."""

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from functools import partial
from itertools import count
from pathlib import Path
from statistics import median

from msgspec import Struct
from msgspec.structs import replace

from benchmarks.load.driver import Address, Expected, WrongAnswer, closed_loop, get, one_at_a_time
from benchmarks.load.held_streams import Held, hold, most_held
from benchmarks.load.lab import Installed, Lab, made_key, sync
from benchmarks.load.litellm_proxy import Proxy, litellm_proxy
from benchmarks.load.quick_upstream import LATE, Running, quick_upstream
from benchmarks.load.servers import Server, bare, fetch, gateway
from benchmarks.load.side_by_side import BARE, Case, Contender, Round, in_turn
from benchmarks.load.start_time import memory_once_settled
from benchmarks.machine import cores, on_core
from benchmarks.options import Options, Tell
from benchmarks.peers.server import Server as RedisServer
from benchmarks.peers.server import server as redis_server
from benchmarks.result import Bar, Figure, Spread

LITELLM = "LiteLLM proxy"
ITSELF = "the upstream itself"
IN_FLIGHT = 16
AT_ONCE = 200
WHILE_FROZEN = 30
KEPT_WITHIN = 10
OUR_STREAMS = (32, 64, 128, 256, 512)
THEIR_STREAMS = (1, 2, 4, 8, 16, 32)

_PATH = "/v1/chat/completions"
_LIMITS = ("--limit", "requests_per_minute=1000000000", "--limit", "tokens_per_minute=1000000000000")
_TEXT = "The quick brown fox jumps over the lazy dog. " * 20
_NOW, _LATE = "now/rocket-1", "late/rocket-1"
_ROUND_OF_MISSES = 10_000  # more than one round can ask for: none is asked for twice


class Asked(Struct, frozen=True):
    """Who is asked, and by whom."""

    server: Server
    key: str
    path: str = _PATH

    @property
    def address(self) -> Address:
        return self.server.address

    @property
    def headers(self) -> tuple[tuple[str, str], ...]:
        return (("authorization", f"Bearer {self.key}"),)

    def request(self, body: bytes) -> bytes:
        return get(self.address, self.path, self.headers, body)


class Both(Struct, frozen=True):
    """The two, what stands behind them, and what is asked of the run."""

    ours: Asked
    theirs: Asked
    upstream: Running
    options: Options
    tell: Tell

    @property
    def direct(self) -> Asked:
        return Asked(Server(self.upstream.address, ()), "sk-made-up", "/now/chat/completions")


class Rival(Struct, frozen=True):
    """How the proxy is started."""

    place: Path
    models: Mapping[str, str]
    redis_port: int

    def start(self, core: int | None = None) -> AbstractContextManager[Proxy]:
        return litellm_proxy(self.place, self.models, self.redis_port, core=core)


def run(lab: Lab, options: Options, tell: Tell) -> Iterator[Figure]:
    server_core, load_core = cores()
    with ExitStack() as stack:
        with on_core(server_core):
            redis = stack.enter_context(redis_server())
        upstream = stack.enter_context(quick_upstream(lab.place, core=load_core))
        installed = _installed(lab, upstream, redis.url)
        rival = Rival(lab.place, {model: upstream.url(model.partition("/")[0]) for model in (_NOW, _LATE)}, redis.port)
        tell("first start of the gateway")
        with gateway(installed):
            sync(installed, "now", "late")
            key = made_key(installed, "--credits", "100", "--unknown-prices", *_LIMITS)
        yield from _starts(installed, rival, options, tell)
        tell("starting both on one core")
        ours = Asked(stack.enter_context(gateway(installed, core=server_core)), key)
        proxy = stack.enter_context(rival.start(server_core))
        both = Both(ours, Asked(proxy.server, proxy.key), upstream, options, tell)
        yield from _hits(both, lab.place)
        with on_core(load_core):
            yield from _misses(both)
            yield from _stampede(both)
            yield from _streams(both)
            yield from _frozen(both, redis)
        resident = [each.server.workers[0].memory_info().rss / 1e6 for each in (both.ours, both.theirs)]
        yield _one("RSS of a worker after all of this", "MB", resident)


def _installed(lab: Lab, upstream: Running, redis_url: str) -> Installed:
    installed = lab.empty("beside-litellm")
    own = {"GATEWAYZ_CACHE__REDIS_URL": redis_url}
    for model in (_NOW, _LATE):
        slug = model.partition("/")[0]
        prefix = f"GATEWAYZ_PROVIDERS__{slug.upper()}__"
        own |= {f"{prefix}BASE_URL": upstream.url(slug), f"{prefix}API_KEY": "sk-made-up", f"{prefix}MODELS": model}
    return replace(installed, environment={**installed.environment, **own})


def _starts(installed: Installed, rival: Rival, options: Options, tell: Tell) -> Iterator[Figure]:
    """On all cores, each alone."""
    seconds: tuple[list[float], list[float]] = ([], [])
    memory: tuple[list[float], list[float]] = ([], [])
    for number in range(options.rounds // 2):
        tell(f"second starts, {number + 1} of {options.rounds // 2}")
        began = time.monotonic()
        with gateway(installed) as server:
            seconds[0].append(time.monotonic() - began)
            memory[0].append(memory_once_settled(server)[0])
        began = time.monotonic()
        with rival.start() as proxy:
            seconds[1].append(time.monotonic() - began)
            memory[1].append(memory_once_settled(proxy.server)[0])
    yield _one("start until ready, of a warm install", "s", [*map(median, seconds)], Bar.at_most(3, "s"))
    yield _one("RSS of an idle worker", "MB", [*map(median, memory)], Bar.at_most(120, "MB"))


def _hits(both: Both, place: Path) -> Iterator[Figure]:
    both.tell("a chat asked before")
    body = _body(_NOW, 0)
    contenders = []
    for each in (both.ours, both.theirs):
        _keep(each, body, both.upstream)
        case = Case(name="a chat asked before", targets=(_PATH,), headers=each.headers, bodies=(body,), latency=True)
        contenders.append(Contender(each.server, case, Expected()))
    asked = both.upstream.asked()
    answer = fetch(both.ours.address, _PATH, both.ours.headers, body)
    server_core, load_core = cores()
    with bare([answer], place, core=server_core) as peer, on_core(load_core):
        contenders.append(Contender(peer, contenders[0].case, Expected()))
        our_rounds, their_rounds, bare_rounds = in_turn(contenders, both.options)
    if missed := both.upstream.asked() - asked:
        raise WrongAnswer(f"{missed} of the requests for a kept answer went to the upstream")
    yield from _throughput("a chat asked before", {LITELLM: their_rounds, BARE: bare_rounds}, our_rounds, _times(60))


def _keep(asked: Asked, body: bytes, upstream: Running) -> None:
    """Ask until it is answered without the upstream: it is kept after it is answered, be it a second later."""
    for _ in range(KEPT_WITHIN):
        before = upstream.asked()
        fetch(asked.address, _PATH, asked.headers, body)
        if upstream.asked() == before:
            return
        time.sleep(1)
    raise WrongAnswer(f"after {KEPT_WITHIN} s an answer was not kept")


def _misses(both: Both) -> Iterator[Figure]:
    numbers = count(1)
    rounds: dict[str, list[Round]] = {"ours": [], LITELLM: [], ITSELF: []}
    for number in range(both.options.rounds + 1):
        both.tell(f"chats never asked before, {number} of {both.options.rounds}" if number else "warming up")
        for name, each in (("ours", both.ours), (LITELLM, both.theirs), (ITSELF, both.direct)):
            found = _round_of_misses(each, numbers, both.options if number else both.options.warm_up)
            if number:
                rounds[name].append(found)
    our_rounds = rounds.pop("ours")
    yield from _throughput("a chat never asked before", rounds, our_rounds, _times(10))
    for words, share, most in (("p50", 0.5, 1000), ("p99", 0.99, 3000)):
        base, mine, other = (_latency(each, share) for each in (rounds[ITSELF], our_rounds, rounds[LITELLM]))
        unit = f"µs {words} added, one at a time"
        yield _one("a chat never asked before", unit, [mine - base, other - base], Bar.at_most(most, "µs"))


def _round_of_misses(asked: Asked, numbers: Iterator[int], options: Options) -> Round:
    requests = [asked.request(_body(_NOW, next(numbers))) for _ in range(_ROUND_OF_MISSES)]
    alone = [requests.pop() for _ in range(options.latencies // options.rounds)]
    before = asked.server.cpu_seconds()
    load = closed_loop(
        asked.address, requests, Expected(), connections=IN_FLIGHT, seconds=options.seconds, is_spinning=False
    )
    cpu = asked.server.cpu_seconds() - before
    if load.requests > len(requests) and asked.server.workers:
        raise WrongAnswer(f"{load.requests} requests in a round that has {len(requests)}: some were hits")
    latencies = one_at_a_time(asked.address, alone, Expected(), count=len(alone)) if alone else ()
    return Round(load.requests / load.seconds, cpu / load.requests * 1e6, load.body_bytes / load.requests, latencies)


def _stampede(both: Both) -> Iterator[Figure]:
    both.tell(f"{AT_ONCE} identical requests at once")
    calls = []
    for each in (both.ours, both.theirs):
        before = both.upstream.asked()
        closed_loop(
            each.address, [each.request(_body(_LATE, 0))], Expected(), connections=AT_ONCE, seconds=0, is_spinning=False
        )
        calls.append(both.upstream.asked() - before)
    name = f"{AT_ONCE} identical requests at once, answered after {1000 * LATE:g} ms"
    yield _one(name, "upstream calls", calls, Bar.at_most(1, "upstream call"))


def _streams(both: Both) -> Iterator[Figure]:
    numbers = count()
    most = []
    for name, each, tried in (
        (ITSELF, both.direct, OUR_STREAMS),
        ("ours", both.ours, OUR_STREAMS),
        (LITELLM, both.theirs, THEIR_STREAMS),
    ):
        both.tell(f"streams of 64 chunks at 20 ms, {name}")
        most.append(most_held(tried, partial(_held, each, numbers)))
    yield Figure(
        name="streams of 64 chunks at 20 ms held with no chunk later than 50 ms",
        unit="streams",
        ours=most[1],
        peers={LITELLM: most[2], ITSELF: most[0]},
        ratio=most[1] / most[2] if most[2] else None,
        bar=Bar("≥ 256", lambda ours, _: ours >= 256),
    )


def _frozen(both: Both, redis: RedisServer) -> Iterator[Figure]:
    """Whoever is asked first finds it frozen as suddenly as the other does."""
    both.tell("Redis frozen")
    numbers = count(_ROUND_OF_MISSES**2)
    slowest, usual = [], []
    for each in (both.ours, both.theirs):
        requests = [each.request(_body(_NOW, next(numbers))) for _ in range(WHILE_FROZEN)]
        redis.freeze()
        try:
            latencies = one_at_a_time(each.address, requests, Expected(), count=WHILE_FROZEN)
        finally:
            redis.thaw()
        slowest.append(max(latencies) / 1000)
        usual.append(median(latencies) / 1000)
    name = f"{WHILE_FROZEN} chats never asked before while Redis is frozen, one at a time"
    yield _one(name, "ms, the slowest", slowest, Bar.at_most(50, "ms"))
    yield _one(name, "ms, the median", usual)


def _held(asked: Asked, numbers: Iterator[int], streams: int) -> Held:
    return hold(asked.address, [asked.request(_body(_NOW, next(numbers), is_streaming=True)) for _ in range(streams)])


def _body(model: str, number: int, *, is_streaming: bool = False) -> bytes:
    """Of one length for all numbers; streamed ones are none of those that are not."""
    text = f"{'stream' if is_streaming else 'answer'} {number:09} {_TEXT}"
    return json.dumps(
        {"model": model, "messages": [{"role": "user", "content": text}], "stream": is_streaming}
    ).encode()


def _throughput(name: str, peers: Mapping[str, Sequence[Round]], ours: Sequence[Round], bar: Bar) -> Iterator[Figure]:
    """Rate and cost beside all `peers`, the first of which is what the ratio and the bar of the rate are about."""
    for unit, is_rate in (("requests/s", True), ("µs CPU/request", False)):
        rounds = {
            who: [each.requests_per_second if is_rate else each.cpu_us for each in found]
            for who, found in {"ours": ours, **peers}.items()
            if is_rate or who != ITSELF
        }
        medians = {who: median(found) for who, found in rounds.items()}
        mine = medians.pop("ours")
        first = next(iter(medians.values()))
        yield Figure(
            name=name,
            unit=unit,
            ours=mine,
            peers=medians,
            ratio=mine / first if is_rate else first / mine,
            bar=bar if is_rate else None,
            spread={who: Spread(min(found), max(found)) for who, found in rounds.items()},
        )


def _one(name: str, unit: str, found: Sequence[float], bar: Bar | None = None) -> Figure:
    """Ours and theirs, of what is better when it is less."""
    ours, theirs = found
    return Figure(name=name, unit=unit, ours=ours, peers={LITELLM: theirs}, ratio=theirs / ours, bar=bar)


def _latency(rounds: Sequence[Round], share: float) -> float:
    found = sorted(us for each in rounds for us in each.latencies)
    return found[int(len(found) * share)]


def _times(least: float) -> Bar:
    return Bar(f"≥ {least:g} x {LITELLM}", lambda _, ratio: ratio is not None and ratio >= least)
