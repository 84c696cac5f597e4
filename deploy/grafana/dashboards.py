"""The Grafana dashboards, as declarations: `make docs` writes the JSON beside this file, and a test compares.

A panel is a title, queries with their legends, and a unit; where it stands follows from its place in the list.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from msgspec import Struct

HERE = Path(__file__).parent
WINDOW = "$__rate_interval"
"""Grafana puts in what fits its own steps and Prometheus' scrapes."""

_WIDTH = 24
_HEIGHT = 8


class Panel(Struct, frozen=True):
    """`queries`: by legend. `unit`: Grafana's. `is_number`: one number rather than a line over time."""

    title: str
    unit: str
    queries: Mapping[str, str]
    text: str = ""
    is_number: bool = False
    columns: int = 2

    @property
    def width(self) -> int:
        return _WIDTH // (6 if self.is_number else self.columns)


class Dashboard(Struct, frozen=True):
    uid: str
    title: str
    panels: Sequence[Panel]


def rate(counter: str, by: str = "", where: str = "") -> str:
    """Per second, over all hosts."""
    return f"sum{_by(by)} (rate({counter}{_where(where)}[{WINDOW}]))"


def quantile(q: float, histogram: str, by: str = "", where: str = "") -> str:
    labels = f"{by}, le" if by else "le"
    return f"histogram_quantile({q}, {rate(f'{histogram}_bucket', labels, where)})"


def quantiles(histogram: str, where: str = "") -> dict[str, str]:
    return {name: quantile(q, histogram, where=where) for name, q in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99))}


def rates(counter: str, by: str, where: str = "") -> dict[str, str]:
    """One line for each value of the labels, which are its legend."""
    return {_legend(by): rate(counter, by, where)}


def p95(histogram: str, by: str, where: str = "") -> dict[str, str]:
    return {_legend(by): quantile(0.95, histogram, by, where)}


def each_hour(counter: str, by: str) -> dict[str, str]:
    return {_legend(by): per_hour(counter, by)}


def _legend(labels: str) -> str:
    return " ".join(f"{{{{{label}}}}}" for label in labels.split(", "))


def per_hour(counter: str, by: str = "") -> str:
    return f"3600 * {rate(counter, by)}"


def share(part: str, whole: str) -> str:
    """0 where there is nothing to have a part of."""
    return f"({part}) / (({whole}) > 0) or 0 * ({whole})"


def _by(labels: str) -> str:
    return f" by ({labels})" if labels else ""


def _where(matchers: str) -> str:
    return f"{{{matchers}}}" if matchers else ""


HITS, MISSES = "model_cache_hits_total", "model_cache_misses_total"
READS = "gatewayz_cache_requests_total"
REQUESTS, ADDED = "gatewayz_requests_total", "gatewayz_added_seconds"
SAVED_USD, SAVED_SECONDS = "gatewayz_responses_saved_usd_total", "gatewayz_responses_saved_seconds_total"
COST = "gatewayz_cost_usd_total"
STATES = {"{{state}}": "sum by (state) (gatewayz_cache_l2_breaker_state)"}
LEFT_ALONE = {"{{provider}}": "max by (provider) (gatewayz_provider_left_alone)"}
SHARE_SAVED = {"all": share(f"sum({SAVED_USD})", f"sum({SAVED_USD}) + sum({COST})")}


def hit_rate(by: str = "", where: str = "") -> str:
    hits, misses = rate(HITS, by, where), rate(MISSES, by, where)
    return share(hits, f"{hits} + {misses}")


CACHE = Dashboard(
    "gatewayz-cache",
    "gatewayz: cache",
    (
        Panel("Hit rate", "percentunit", {"all entities": hit_rate()}, is_number=True),
        Panel("Answers given again", "percentunit", {"of chats": hit_rate(where='entity="chat"')}, is_number=True),
        Panel("Money saved", "currencyUSD", {"so far": f"sum({SAVED_USD})"}, is_number=True),
        Panel("Time saved", "s", {"so far": f"sum({SAVED_SECONDS})"}, is_number=True),
        Panel(
            "Violations of consistency",
            "short",
            {"in a day": "sum(increase(gatewayz_cache_sample_violations_total[1d]))"},
            "Values that differed from their source, found by sampling and repaired.",
            is_number=True,
        ),
        Panel(
            "Workers without Redis",
            "short",
            {"now": 'sum(gatewayz_cache_l2_breaker_state{state!="closed"})'},
            is_number=True,
        ),
        Panel("Hit rate by entity", "percentunit", {"{{entity}}": hit_rate("entity")}),
        Panel("Reads by tier and result", "reqps", rates(READS, "tier, result")),
        Panel("Reads by entity", "reqps", rates(READS, "entity")),
        Panel("Load latency, p95, by entity", "s", p95("gatewayz_cache_load_seconds", "entity")),
        Panel(
            "Latency of answers, p95, by how they came",
            "s",
            p95("gatewayz_request_seconds", "cache", 'cache!="none"'),
        ),
        Panel("Filling Redis and memory", "s", quantiles("gatewayz_cache_population_seconds")),
        Panel(
            "Answers by how the cache gave them",
            "reqps",
            rates("gatewayz_responses_total", "result, detail"),
        ),
        Panel("Age of answers that are given again", "s", quantiles("gatewayz_responses_age_seconds")),
        Panel("Money saved an hour, by model", "currencyUSD", each_hour(SAVED_USD, "model")),
        Panel("Time saved, seconds a second", "s", rates(SAVED_SECONDS, "model")),
        Panel("Invalidations by entity", "ops", rates("model_cache_invalidations_total", "entity")),
        Panel(
            "Seconds until all have confirmed an invalidation",
            "s",
            quantiles("gatewayz_cache_invalidation_seconds"),
        ),
        Panel("Leases on loads", "ops", rates("gatewayz_cache_leases_total", "outcome")),
        Panel("Memory of workers by entity", "bytes", {"{{entity}}": "sum by (entity) (model_cache_size_bytes)"}),
        Panel("Evictions", "ops", rates("gatewayz_cache_evictions_total", "entity")),
        Panel(
            "Redis' memory",
            "percentunit",
            {"{{instance}}": "gatewayz_redis_memory_bytes / gatewayz_redis_memory_limit_bytes"},
        ),
        Panel(
            "Workers by the state of their breaker to Redis",
            "short",
            STATES,
        ),
        Panel("Hosts that hear invalidations", "short", {"hosts": "sum(gatewayz_cache_trusted)"}),
        Panel("Comparisons with the source", "ops", rates("gatewayz_cache_sample_checks_total", "tier")),
        Panel(
            "Differences found and repaired",
            "ops",
            rates("gatewayz_cache_sample_violations_total", "entity"),
        ),
        Panel(
            "Declared and learned time to live",
            "s",
            {
                "{{entity}} declared": "max by (entity) (model_cache_ttl_seconds)",
                "{{entity}} learned": "max by (entity) (gatewayz_cache_learned_ttl_seconds)",
            },
        ),
        Panel("Answers under way", "short", {"{{instance}}": "gatewayz_responses_under_way"}),
    ),
)

OF_INFERENCE = 'endpoint=~"/v1/.*"'
OURS = f"""{rate(REQUESTS, where='status=~"5..|cut"')} or vector(0)"""

REQUESTS_BOARD = Dashboard(
    "gatewayz-requests",
    "gatewayz: requests",
    (
        Panel("Requests", "reqps", {"all": rate(REQUESTS)}, is_number=True),
        Panel("Errors of ours", "percentunit", {"5xx and cut": share(OURS, rate(REQUESTS))}, is_number=True),
        Panel("Added, p95", "s", {"inference": quantile(0.95, ADDED, where=OF_INFERENCE)}, is_number=True),
        Panel("Added, p99", "s", {"inference": quantile(0.99, ADDED, where=OF_INFERENCE)}, is_number=True),
        Panel("Workers that answer", "short", {"now": 'sum(gatewayz_workers{state="answering"})'}, is_number=True),
        Panel("Workers that are silent", "short", {"now": 'sum(gatewayz_workers{state="silent"})'}, is_number=True),
        Panel("Requests by endpoint", "reqps", rates(REQUESTS, "endpoint")),
        Panel("Requests by status", "reqps", rates(REQUESTS, "status")),
        Panel("Inference by how the cache answered", "reqps", rates(REQUESTS, "cache", OF_INFERENCE)),
        Panel("Inference by model", "reqps", rates(REQUESTS, "model", OF_INFERENCE)),
        Panel("What the gateway adds", "s", quantiles(ADDED, OF_INFERENCE), "Without the time of providers."),
        Panel("What it adds, p95, by cache status", "s", p95(ADDED, "cache", OF_INFERENCE)),
        Panel("Duration of inference", "s", quantiles("gatewayz_request_seconds", OF_INFERENCE)),
        Panel("Duration, p95, by endpoint", "s", p95("gatewayz_request_seconds", "endpoint")),
        Panel("Time to the first token", "s", quantiles("gatewayz_first_token_seconds")),
        Panel("Running under a limit", "short", {"{{instance}}": "gatewayz_running_requests"}),
        Panel("Let in and refused", "reqps", rates("gatewayz_admissions_total", "outcome")),
        Panel("Refused for their key", "reqps", rates("gatewayz_authentications_refused_total", "reason")),
        Panel("Judged without Redis", "reqps", {"all": rate("gatewayz_admissions_local_total")}),
        Panel("Memory by worker", "bytes", {"{{instance}} {{worker}}": "process_resident_memory_bytes"}),
        Panel("Processors in use", "short", {"{{instance}}": f"rate(process_cpu_seconds_total[{WINDOW}])"}),
        Panel("Open files by worker", "short", {"{{instance}} {{worker}}": "process_open_fds"}),
    ),
)

PROVIDERS = Dashboard(
    "gatewayz-providers",
    "gatewayz: providers",
    (
        Panel("Attempts by provider", "reqps", rates("gatewayz_attempts_total", "provider")),
        Panel("Attempts by how they went", "reqps", rates("gatewayz_attempts_total", "outcome")),
        Panel(
            "Share that failed, by provider",
            "percentunit",
            {
                "{{provider}}": share(
                    rate("gatewayz_attempts_total", "provider", 'outcome=~"failed|broken_off"'),
                    rate("gatewayz_attempts_total", "provider", 'outcome!="passed_by"'),
                )
            },
        ),
        Panel(
            "Models left alone, by provider",
            "short",
            LEFT_ALONE,
        ),
        Panel(
            "State of each provider: 0 healthy, 1 degraded, 2 down; none where it is unknown",
            "short",
            {
                "{{provider}}": 'max by (provider) (gatewayz_provider_state{state="healthy"} == 1) * 0 '
                'or max by (provider) (gatewayz_provider_state{state="degraded"} == 1) '
                'or 2 * max by (provider) (gatewayz_provider_state{state="down"} == 1)'
            },
        ),
        Panel("Breakers open", "short", {"{{instance}}": "gatewayz_breakers_open"}),
        Panel("Breakers opened", "ops", {"all": rate("gatewayz_breakers_opened_total")}),
        Panel(
            "Time to the first token, p95, by provider",
            "s",
            p95("gatewayz_first_token_seconds", "provider"),
        ),
        Panel("Requests served, by provider", "reqps", rates(REQUESTS, "provider", 'provider!="none"')),
        Panel(
            "Tokens a second, by provider",
            "short",
            rates("gatewayz_tokens_total", "provider, kind"),
        ),
        Panel("Cost an hour, by provider", "currencyUSD", each_hour(COST, "provider")),
    ),
)

MONEY = Dashboard(
    "gatewayz-money",
    "gatewayz: money",
    (
        Panel("Cost so far", "currencyUSD", {"all": f"sum({COST})"}, is_number=True),
        Panel("Saved by the cache", "currencyUSD", {"all": f"sum({SAVED_USD})"}, is_number=True),
        Panel(
            "Share saved",
            "percentunit",
            SHARE_SAVED,
            is_number=True,
        ),
        Panel("Drift of the ledger, nano-dollars", "short", {"now": "max(ledger_drift_nano_usd)"}, is_number=True),
        Panel("Journals that fail", "short", {"now": "sum(gatewayz_journal_failing)"}, is_number=True),
        Panel("Charges refused", "short", {"so far": "sum(gatewayz_charges_refused_total)"}, is_number=True),
        Panel("Cost an hour, by model", "currencyUSD", each_hour(COST, "model")),
        Panel("Cost an hour, by provider", "currencyUSD", each_hour(COST, "provider")),
        Panel("Saved an hour, by model", "currencyUSD", each_hour(SAVED_USD, "model")),
        Panel("Tokens by kind", "short", rates("gatewayz_tokens_total", "kind")),
        Panel("Charges settled", "ops", {"all": rate("gatewayz_charges_settled_total")}),
        Panel("Not settled yet", "bytes", {"{{instance}}": "gatewayz_journal_unsettled_bytes"}),
        Panel(
            "Written off an hour",
            "currencyUSD",
            {"all": per_hour("gatewayz_charges_written_off_nano_usd_total") + " / 1e9"},
        ),
        Panel("Damaged records", "short", {"all": "sum(gatewayz_journal_damaged_total)"}),
    ),
)

DASHBOARDS: Mapping[str, Dashboard] = {
    "cache": CACHE,
    "requests": REQUESTS_BOARD,
    "providers": PROVIDERS,
    "money": MONEY,
}


def written(dashboard: Dashboard) -> str:
    """As Grafana reads it."""
    form = {
        "uid": dashboard.uid,
        "title": dashboard.title,
        "tags": ["gatewayz"],
        "schemaVersion": 39,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "templating": {
            "list": [{"name": "datasource", "type": "datasource", "query": "prometheus", "label": "Prometheus"}]
        },
        "panels": list(_placed(dashboard.panels)),
    }
    return json.dumps(form, indent=2) + "\n"


def _placed(panels: Sequence[Panel]) -> list[dict[str, Any]]:
    placed = []
    x = y = row_height = 0
    for number, panel in enumerate(panels, 1):
        height = _HEIGHT // 2 if panel.is_number else _HEIGHT
        if x + panel.width > _WIDTH or (x and height != row_height):
            x, y = 0, y + row_height
        placed.append(_panel(panel, number, {"x": x, "y": y, "w": panel.width, "h": height}))
        x, row_height = x + panel.width, height
    return placed


def _panel(panel: Panel, number: int, place: Mapping[str, int]) -> dict[str, Any]:
    source = {"type": "prometheus", "uid": "${datasource}"}
    return {
        "id": number,
        "title": panel.title,
        "description": panel.text,
        "type": "stat" if panel.is_number else "timeseries",
        "datasource": source,
        "gridPos": dict(place),
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0}, "overrides": []},
        "targets": [
            {"refId": chr(ord("A") + index), "expr": query, "legendFormat": legend, "datasource": source}
            for index, (legend, query) in enumerate(panel.queries.items())
        ],
    }


def main() -> None:
    for name, dashboard in DASHBOARDS.items():
        (HERE / f"{name}.json").write_text(written(dashboard), encoding="utf-8")


if __name__ == "__main__":
    main()
