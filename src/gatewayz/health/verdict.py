"""Which state figures stand for, and how they move with what is seen: the rules, in one place."""

from msgspec import Struct
from msgspec.structs import replace

from gatewayz.health.config import HealthConfig
from gatewayz.health.model import SLOTS, Figures, Slot, State, number_of, sums
from gatewayz.health.seen import PROBE_WEIGHT, Seen


class Verdict(Struct, frozen=True):
    """`since`: a Unix time, None where nothing was ever heard. `reason`: for people."""

    state: State
    since: float | None
    reason: str


def verdict(figures: Figures | None, now: float, config: HealthConfig) -> Verdict:
    """As of this Unix time."""
    if figures is None:
        return Verdict(State.UNKNOWN, None, "nothing was heard of it")
    if figures.left_alone_until > now:
        return Verdict(State.DOWN, figures.left_alone_since, "it failed again and again, or asked for it: left alone")
    if now - figures.at > config.known_for:
        since = max(figures.at + config.known_for, figures.left_alone_until)
        return Verdict(State.UNKNOWN, since, f"nothing was heard of it for {config.known_for:g} s")
    return Verdict(figures.state, figures.since, _reason(figures, config))


def state_of(figures: Figures | None, now: float, known_for: float) -> State:
    """That of the verdict, for who asks often."""
    if figures is None:
        return State.UNKNOWN
    if figures.left_alone_until > now:
        return State.DOWN
    return figures.state if now - figures.at <= known_for else State.UNKNOWN


def folded(before: Figures | None, seen: Seen, now: float, config: HealthConfig) -> Figures:
    """The figures with what was seen up to this Unix time, judged anew. What was known before and is too old to count
    leaves its slots, and for how long it is left alone.
    """
    if before is None or now - before.at > config.known_for:
        before = _forgotten(before, now)
    now = max(now, before.at)  # clocks of hosts differ
    kept = 0.0 if seen.is_recovered else 0.5 ** ((now - before.at) / config.half_life)
    until, left_alone_since = _left_alone(before, seen, now)
    figures = replace(
        before,
        at=now,
        left_alone_until=until,
        left_alone_since=left_alone_since,
        requests=before.requests * kept + seen.requests + PROBE_WEIGHT * seen.probes,
        failures=before.failures * kept + seen.failures + PROBE_WEIGHT * seen.failed_probes,
        streams=before.streams * kept + seen.streams,
        slow=before.slow * kept + seen.slow,
        slots=_slotted(before.slots, seen, number_of(now)),
    )
    state = _judged(figures, config)
    return figures if state is before.state else replace(figures, state=state, since=now)


def _forgotten(before: Figures | None, now: float) -> Figures:
    if before is None:
        return Figures(now, State.UNKNOWN, now)
    return replace(before, at=now, state=State.UNKNOWN, since=now, requests=0.0, failures=0.0, streams=0.0, slow=0.0)


def _judged(figures: Figures, config: HealthConfig) -> State:
    if _fails_often(figures, config) and figures.requests < config.evidence:
        return State.UNKNOWN
    if figures.failure_rate >= config.down_from:
        return State.DOWN
    return State.DEGRADED if _fails_often(figures, config) or _is_slow(figures, config) else State.HEALTHY


def _fails_often(figures: Figures, config: HealthConfig) -> bool:
    return figures.failure_rate >= config.degraded_from


def _is_slow(figures: Figures, config: HealthConfig) -> bool:
    return figures.streams >= config.evidence and figures.slow_rate >= config.slow_from


def _reason(figures: Figures, config: HealthConfig) -> str:
    if figures.state is State.UNKNOWN:
        return "too little was seen of it, and some of that failed"
    if _fails_often(figures, config):
        return f"{figures.failure_rate:.0%} of its requests failed of late"
    if figures.state is State.DEGRADED:
        return f"{figures.slow_rate:.0%} of its streams took {config.slow:g} s to their first token, or longer"
    return "it answers"


def _left_alone(before: Figures, seen: Seen, now: float) -> tuple[float, float]:
    if seen.is_recovered:
        return seen.left_alone_until, now if seen.left_alone_until else 0.0
    until = max(before.left_alone_until, seen.left_alone_until)
    return until, (before.left_alone_since or now) if until else 0.0


def _slotted(slots: tuple[Slot, ...], seen: Seen, number: int) -> tuple[Slot, ...]:
    kept = [slot for slot in slots if number - SLOTS < slot.number <= number]
    newest = kept.pop() if kept and kept[-1].number == number else Slot(number)
    added = Slot(
        number,
        newest.requests + seen.requests + seen.probes,
        newest.failures + seen.failures + seen.failed_probes,
        sums([newest.latency, seen.latency]),
        sums([newest.first_token, seen.first_token]),
    )
    return (*kept, added)
