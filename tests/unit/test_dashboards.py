"""The dashboards' files say what their declarations say, and name nothing that is not there."""

import json
import re
from pathlib import Path

import pytest
from deploy.grafana.dashboards import DASHBOARDS, HERE, written

from gatewayz.cli.reference import collectors

RULES = HERE.parent / "prometheus" / "rules.yml"

_METRIC = re.compile(r"\b(?:gatewayz|model_cache|ledger)_[a-z0-9_]+")


@pytest.mark.parametrize("name", DASHBOARDS)
def test_a_file_is_what_its_declaration_makes(name: str) -> None:
    assert (HERE / f"{name}.json").read_text(encoding="utf-8") == written(DASHBOARDS[name]), "run `make docs`"


def test_no_file_is_left_over() -> None:
    assert {path.stem for path in Path(HERE).glob("*.json")} == DASHBOARDS.keys()


@pytest.mark.parametrize("name", DASHBOARDS)
def test_panels_lie_beside_each_other_and_within_the_width(name: str) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in json.loads(written(DASHBOARDS[name]))["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        assert place["x"] + place["w"] <= 24
        taken |= cells


@pytest.mark.parametrize("path", [*sorted(HERE.glob("*.json")), RULES], ids=lambda path: path.name)
def test_every_metric_that_is_named_exists(path: Path) -> None:
    """A rule over a name that nobody tells would never fire."""
    named = set(_METRIC.findall(path.read_text(encoding="utf-8")))
    assert sorted(each for each in named if each not in _known()) == []


def _known() -> set[str]:
    names = {"gatewayz_workers"}
    for metric in (metric for each in collectors() for metric in each.collect()):
        suffixes = {"counter": ("_total",), "histogram": ("_bucket", "_count", "_sum")}.get(metric.type, ("",))
        names |= {metric.name + suffix for suffix in suffixes}
    return names
