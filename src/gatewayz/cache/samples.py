"""What comparing the tiers with the source came to, in numbers."""

import math

from msgspec import Struct


class TierSamples(Struct):
    """`violations`: of the checks, those whose difference a second read confirmed."""

    checks: int = 0
    violations: int = 0


class EntitySamples(Struct):
    """`failed`: the source could not be read. `moved`: it changed between two reads. `healed`: at the second read the
    tier no longer served that value. `drifted`: it differs, as an entity may of whose changes nobody tells.
    """

    l1: TierSamples
    l2: TierSamples
    failed: int = 0
    moved: int = 0
    healed: int = 0
    drifted: int = 0


class Within(Struct):
    """Checks this many seconds after an invalidation, and how many of them found an older value. `nines`: of the share
    that was right, 3.0 for 999 of 1,000; where none was wrong, no more than so many checks can show. None before the
    first check.
    """

    seconds: float
    checks: int = 0
    violations: int = 0
    nines: float | None = None

    def count(self, *, violations: int = 0, checks: int = 0) -> None:
        self.checks += checks
        self.violations += violations
        self.nines = math.floor(10 * math.log10(self.checks / max(1, self.violations))) / 10 if self.checks else None


class SampleStats(Struct, frozen=True):
    """`pending`: checks that wait for their time. `late`: those given up because their time had passed."""

    entities: dict[str, EntitySamples]
    within: tuple[Within, ...]
    pending: int
    late: int


class Violation(Struct, frozen=True, kw_only=True):
    """A tier would have served what the source no longer says. `after`: seconds after an invalidation, None for a plain
    sample. `age`: seconds since the value was loaded. It has been repaired.
    """

    entity: str
    key: str
    tier: str
    after: float | None
    age: float
    held_version: str | None
    source_version: str | None
