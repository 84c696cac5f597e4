"""What a worker has counted, as bytes: for its siblings, and for who takes its place."""

from collections.abc import Iterable, Iterator, Sequence

import msgspec
from msgspec import Struct
from prometheus_client.metrics_core import Metric

CUMULATIVE = ("counter", "histogram")
"""Types of families that only grow, so that what a worker has left can be added to what the next one counts."""

Series = tuple[str, tuple[tuple[str, str], ...]]
"""A sample's name and labels."""


class Family(Struct, frozen=True, array_like=True):
    """All samples of one metric, in the order in which they are shown."""

    name: str
    text: str
    kind: str
    samples: list[tuple[str, dict[str, str], float]]

    def series(self) -> Iterator[tuple[Series, float]]:
        for name, labels, value in self.samples:
            yield (name, tuple(labels.items())), value


_decoder = msgspec.msgpack.Decoder(list[Family])
_encode = msgspec.msgpack.Encoder().encode


def families(metrics: Iterable[Metric]) -> list[Family]:
    return [
        Family(
            each.name,
            each.documentation,
            each.type,
            [(sample.name, sample.labels, float(sample.value)) for sample in each.samples],
        )
        for each in metrics
    ]


def metric(family: Family) -> Metric:
    made = Metric(family.name, family.text, family.kind)
    for name, labels, value in family.samples:
        made.add_sample(name, labels, value)
    return made


def written(snapshot: Sequence[Family]) -> bytes:
    return _encode(snapshot)


def read(snapshot: bytes) -> list[Family]:
    """Raises msgspec.DecodeError."""
    return _decoder.decode(snapshot)
