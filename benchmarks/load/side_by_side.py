"""One case, in turn on the bare application and on the gateway."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median

from msgspec import Struct

from benchmarks.load.driver import Expected, WrongAnswer, closed_loop, get, one_at_a_time
from benchmarks.load.servers import Server, bare, fetch
from benchmarks.machine import cores, on_core
from benchmarks.options import Options
from benchmarks.result import Bar, Figure, Spread

BARE = "bare ASGI"


class Case(Struct, frozen=True, kw_only=True):
    """Requests that are sent in a cycle, POSTs if there are `bodies`; the bare application reads them, and sends the
    gateway's answers in a cycle.
    """

    name: str
    targets: Sequence[str]
    headers: tuple[tuple[str, str], ...] = ()
    bodies: Sequence[bytes] = (b"",)
    status: int = 200
    connections: int = 16
    bar: float | None = None
    latency: bool = False

    @property
    def requests(self) -> list[tuple[str, bytes]]:
        """Each target with each body."""
        return [(target, body) for target in self.targets for body in self.bodies]


class Contender(Struct, frozen=True):
    """Who is asked what, and has to answer how."""

    server: Server
    case: Case
    expected: Expected


class Round(Struct, frozen=True):
    """`cpu_us`: the server's processor time for one request, `latencies`: of requests one at a time, both in µs."""

    requests_per_second: float
    cpu_us: float
    body_bytes: float
    latencies: Sequence[float]


class Comparison(Struct, frozen=True):
    """All rounds of a case."""

    case: Case
    ours: Sequence[Round]
    peer: Sequence[Round]

    @property
    def our_cpu_us(self) -> float:
        return median(each.cpu_us for each in self.ours)

    @property
    def cpu_share(self) -> float:
        """The bare application's processor time as a share of ours."""
        return median(each.cpu_us for each in self.peer) / self.our_cpu_us

    def figures(self, prefix: str) -> Iterator[Figure]:
        name = f"{prefix}: {self.case.name} ({_size(median(each.body_bytes for each in self.ours))})"
        bar = Bar.share(self.case.bar, BARE) if self.case.bar else None
        rates = [[each.requests_per_second for each in rounds] for rounds in (self.ours, self.peer)]
        costs = [[each.cpu_us for each in rounds] for rounds in (self.ours, self.peer)]
        yield _figure(name, "requests/s", *rates, ratio=median(rates[0]) / median(rates[1]), bar=bar)
        yield _figure(name, "µs CPU/request", *costs, ratio=self.cpu_share, bar=bar)
        ours, peer = (sorted(us for each in rounds for us in each.latencies) for rounds in (self.ours, self.peer))
        for words, share in (("p50", 0.5), ("p99", 0.99)) if ours else ():
            mine, other = (each[int(len(each) * share)] for each in (ours, peer))
            unit = f"µs {words}, one at a time"
            yield Figure(name=name, unit=unit, ours=mine, peers={BARE: other}, ratio=other / mine)


def compare(case: Case, gateway: Server, place: Path, options: Options) -> Comparison:
    """Rounds in turn, the bare application first. Raises WrongAnswer where the two do not send the same bytes."""
    answers = [fetch(gateway.address, target, case.headers, body) for target, body in case.requests]
    if wrong := {answer.status for answer in answers} - {case.status}:
        raise WrongAnswer(f"{case.name!r} is answered with {wrong}, the case expects {case.status}")
    lengths = {len(answer.body) for answer in answers}
    expected = Expected(case.status, lengths.pop() if len(lengths) == 1 else None)
    server_core, load_core = cores()
    with bare(answers, place, core=server_core) as peer, on_core(load_core):
        target, body = case.requests[0]
        if fetch(peer.address, target, case.headers, body) not in answers:
            raise WrongAnswer(f"the bare application does not send what the gateway sends for {case.name!r}")
        theirs, ours = in_turn([Contender(peer, case, expected), Contender(gateway, case, expected)], options)
    return Comparison(case, ours, theirs)


def in_turn(contenders: Sequence[Contender], options: Options) -> Sequence[Sequence[Round]]:
    """The rounds of each, after a warm-up: one of the first, one of the second …, and again."""
    for each in contenders:
        _round(each, options.warm_up)
    turns = [[_round(each, options) for each in contenders] for _ in range(options.rounds)]
    return list(zip(*turns, strict=True))


def _round(contender: Contender, options: Options) -> Round:
    server, case, expected = contender.server, contender.case, contender.expected
    requests = [get(server.address, target, case.headers, body) for target, body in case.requests]
    before = server.cpu_seconds()
    load = closed_loop(server.address, requests, expected, connections=case.connections, seconds=options.seconds)
    cpu = server.cpu_seconds() - before
    count = options.latencies // options.rounds if case.latency else 0
    return Round(
        requests_per_second=load.requests / load.seconds,
        cpu_us=cpu / load.requests * 1e6,
        body_bytes=load.body_bytes / load.requests,
        latencies=one_at_a_time(server.address, requests[:1], expected, count=count) if count else (),
    )


def _figure(
    name: str, unit: str, ours: Sequence[float], peer: Sequence[float], *, ratio: float, bar: Bar | None
) -> Figure:
    return Figure(
        name=name,
        unit=unit,
        ours=median(ours),
        peers={BARE: median(peer)},
        ratio=ratio,
        bar=bar,
        spread={"ours": Spread(min(ours), max(ours)), BARE: Spread(min(peer), max(peer))},
    )


def _size(body_bytes: float) -> str:
    """Such as `9.97 MB`, `84 kB`, `15 bytes`."""
    if body_bytes >= 1e6:
        return f"{body_bytes / 1e6:.3g} MB"
    return f"{body_bytes / 1e3:.0f} kB" if body_bytes >= 1e4 else f"{body_bytes:.0f} bytes"
