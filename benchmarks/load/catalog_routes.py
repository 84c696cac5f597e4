"""The catalog's routes beside a bare ASGI application, over catalogs of several sizes."""

from collections.abc import Iterator

from benchmarks.load.catalog_cases import catalog_cases
from benchmarks.load.lab import Lab
from benchmarks.load.servers import gateway
from benchmarks.load.side_by_side import Comparison, compare
from benchmarks.machine import cores
from benchmarks.options import Options, Tell
from benchmarks.result import Bar, Figure

_FLAT = 0.85


def run(lab: Lab, options: Options, tell: Tell) -> Iterator[Figure]:
    """Every case at the first size, the pages at the others."""
    compared: dict[int, dict[str, Comparison]] = {}
    for models in options.sizes:
        tell(f"filling a catalog of {models:,} models")
        installed = lab.filled(models)
        with gateway(installed, core=cores()[0], within=180) as server:
            cases = catalog_cases(server.address)
            found = compared[models] = {}
            for case in cases.all() if models == options.sizes[0] else cases.pages():
                tell(f"{models:,} models: {case.name}")
                comparison = found[case.name] = compare(case, server, lab.place, options)
                yield from comparison.figures(f"{models:,} models")
        if models == options.sizes[0]:
            costs = (found[case.name].our_cpu_us for case in (cases.not_modified, cases.full, cases.unique))
            yield _cheapest(f"{models:,} models", *costs)
    smallest, largest = min(options.sizes), max(options.sizes)
    for name in compared[smallest].keys() & compared[largest].keys():
        yield _flat(name, smallest, largest, compared[smallest][name], compared[largest][name])


def _cheapest(prefix: str, not_modified: float, full: float, unique: float) -> Figure:
    return Figure(
        name=f"{prefix}: a 304 beside the answers it saves",
        unit="µs CPU/request",
        ours=not_modified,
        peers={"our page of unique models": unique, "our full list": full},
        ratio=unique / not_modified,
        bar=Bar("cheaper than both", lambda ours, _: ours < min(full, unique)),
    )


def _flat(name: str, small: int, large: int, at_small: Comparison, at_large: Comparison) -> Figure:
    """Pages of two catalogs differ in bytes, so each is first compared with the bare application sending the same."""
    return Figure(
        name=f"{name}: {large:,} models beside {small:,}",
        unit="share of bare ASGI's µs CPU",
        ours=at_large.cpu_share,
        peers={f"ours at {small:,} models": at_small.cpu_share},
        ratio=at_large.cpu_share / at_small.cpu_share,
        bar=Bar.share(_FLAT, f"the share at {small:,} models"),
    )
