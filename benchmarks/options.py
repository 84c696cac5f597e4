"""What is asked of a run."""

from collections.abc import Callable

from msgspec import Struct, structs


class Options(Struct, frozen=True, kw_only=True):
    """`seconds`: of one round of load. `sizes`: how many models the catalogs have, the one for every case first.

    `latencies`: requests one at a time, over all rounds. `revocations`: keys that are revoked, by each way.
    `made_up_keys`: how many a flood has. `failovers`: requests beside a provider that fails.
    """

    rounds: int = 5
    seconds: float = 1.2
    sizes: tuple[int, ...] = (13_000, 1_000, 100_000)
    latencies: int = 1000
    revocations: int = 200
    made_up_keys: int = 100_000
    failovers: int = 10_000

    @property
    def warm_up(self) -> "Options":
        return structs.replace(self, seconds=0.2, latencies=0)


QUICK = Options(
    rounds=3, seconds=0.4, sizes=(13_000, 1_000), latencies=200, revocations=30, made_up_keys=5000, failovers=800
)

Tell = Callable[[str], None]
