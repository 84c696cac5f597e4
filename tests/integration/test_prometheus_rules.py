"""The alert rules of deploy/, in Prometheus' own words: each fires for what it is for, none while all is well."""

import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.support.prometheus import program

ROOT = Path(__file__).parents[2]
RULES = ROOT / "deploy" / "prometheus" / "rules.yml"
LABELS = 'job="gatewayz",instance="host-1"'
MINUTES = 40
STEP = 60  # seconds
AT = "38m"

Series = Mapping[str, str]


def series(name: str, labels: str = "") -> str:
    return f"{name}{{{LABELS}{',' if labels else ''}{labels}}}"


def growing(each_step: float) -> str:
    return f"0+{each_step}x{MINUTES * 60 // STEP}"


def steady(value: float) -> str:
    return f"{value}+0x{MINUTES * 60 // STEP}"


def turned(before: float, after: float) -> str:
    """Grows so much each step, and otherwise in the last fifteen minutes."""
    last = 15 * 60 // STEP
    first = MINUTES * 60 // STEP - last
    return f"0+{before}x{first - 1} {before * first}+{after}x{last}"


def histogram(name: str, labels: str, within: Mapping[str, float]) -> Series:
    return {series(f"{name}_bucket", f'{labels},le="{bound}"'): growing(count) for bound, count in within.items()}


CHAT = 'endpoint="/v1/chat/completions",cache="hit"'
ENTITY = 'entity="auth:key"'
PROVIDER = 'provider="acme"'
HEALTHY: Series = {
    series("model_cache_hits_total", ENTITY): growing(6000),
    series("model_cache_misses_total", ENTITY): growing(120),
    series("model_cache_hits_total", 'entity="chat"'): growing(30),
    series("model_cache_misses_total", 'entity="chat"'): growing(3000),
    series("gatewayz_cache_sample_violations_total", f'{ENTITY},tier="l1"'): steady(0),
    series("gatewayz_cache_trusted"): steady(1),
    series("gatewayz_cache_l2_breaker_state", 'state="open"'): steady(0),
    series("gatewayz_cache_l2_breaker_state", 'state="closed"'): steady(4),
    series("gatewayz_redis_memory_bytes"): steady(7e8),
    series("gatewayz_redis_memory_limit_bytes"): steady(1e9),
    **histogram("gatewayz_added_seconds", CHAT, {"0.001": 900, "0.1": 996, "0.5": 999, "+Inf": 1000}),
    series("gatewayz_workers", 'state="answering"'): steady(4),
    series("gatewayz_workers", 'state="silent"'): steady(0),
    series("gatewayz_attempts_total", f'{PROVIDER},outcome="answered"'): growing(900),
    series("gatewayz_attempts_total", f'{PROVIDER},outcome="failed"'): growing(9),
    series("gatewayz_provider_left_alone", PROVIDER): steady(0),
    **{
        series("gatewayz_provider_state", f'{PROVIDER},state="{state}"'): steady(int(state == "healthy"))
        for state in ("healthy", "degraded", "down", "unknown")
    },
    series("ledger_drift_nano_usd"): steady(0),
    series("gatewayz_journal_failing"): steady(0),
}

BROKEN: Mapping[str, tuple[Series, Mapping[str, str]]] = {
    "CacheHitRateLow": (
        {series("model_cache_misses_total", ENTITY): growing(4000)},
        {"entity": "auth:key"},
    ),
    "CacheMissSpike": (
        {series("model_cache_misses_total", ENTITY): turned(120, 240)},
        {"entity": "auth:key"},
    ),
    "CacheConsistencyViolation": (
        {series("gatewayz_cache_sample_violations_total", f'{ENTITY},tier="l1"'): turned(0, 1)},
        {"entity": "auth:key"},
    ),
    "CacheInvalidationsMissing": ({series("gatewayz_cache_trusted"): steady(0)}, {"instance": "host-1"}),
    "CacheRedisBreakerOpen": (
        {series("gatewayz_cache_l2_breaker_state", 'state="open"'): steady(1)},
        {"instance": "host-1"},
    ),
    "RedisMemoryHigh": ({series("gatewayz_redis_memory_bytes"): steady(8.1e8)}, {"instance": "host-1"}),
    "RequestsSlow": (
        histogram("gatewayz_added_seconds", CHAT, {"0.001": 900, "0.1": 940, "0.5": 999, "+Inf": 1000}),
        {"endpoint": "/v1/chat/completions"},
    ),
    "RequestsVerySlow": (
        histogram("gatewayz_added_seconds", CHAT, {"0.001": 900, "0.1": 970, "0.5": 980, "1.0": 1000, "+Inf": 1000}),
        {"endpoint": "/v1/chat/completions"},
    ),
    "WorkersSilent": ({series("gatewayz_workers", 'state="silent"'): steady(1)}, {"instance": "host-1"}),
    "ProviderDown": (
        {
            series("gatewayz_attempts_total", f'{PROVIDER},outcome="answered"'): turned(900, 0),
            series("gatewayz_attempts_total", f'{PROVIDER},outcome="failed"'): growing(900),
        },
        {"provider": "acme"},
    ),
    "ProviderBreakerOpen": ({series("gatewayz_provider_left_alone", PROVIDER): steady(2)}, {"provider": "acme"}),
    "ProviderUnwell": (
        {series("gatewayz_provider_state", f'{PROVIDER},state="degraded"'): steady(1)},
        {"provider": "acme"},
    ),
    "LedgerDrift": ({series("ledger_drift_nano_usd"): steady(-1)}, {}),
    "JournalFailing": ({series("gatewayz_journal_failing"): steady(1)}, {"instance": "host-1"}),
}


def rules() -> dict[str, dict[str, Any]]:
    groups = yaml.safe_load(RULES.read_text())["groups"]
    return {rule["alert"]: rule for group in groups for rule in group["rules"]}


def test_prometheus_understands_the_rules() -> None:
    said = promtool("check", "rules", str(RULES))
    assert f"{len(BROKEN)} rules found" in said


def test_each_rule_is_tried() -> None:
    assert rules().keys() == BROKEN.keys()


def test_each_alert_fires_for_what_it_is_for_and_is_silent_while_all_is_well(tmp_path: Path) -> None:
    tests = [_trial("all is well", HEALTHY, {name: [] for name in BROKEN})]
    for name, (broken, labels) in BROKEN.items():
        tests.append(_trial(name, {**HEALTHY, **broken}, {name: [_fired(rules()[name], labels)]}))
    trials = tmp_path / "trials.yml"
    trials.write_text(
        yaml.safe_dump({"rule_files": [str(RULES)], "evaluation_interval": f"{STEP}s", "tests": tests}, width=10_000)
    )
    assert "SUCCESS" in promtool("test", "rules", str(trials))


@pytest.mark.parametrize("name", sorted(BROKEN))
def test_each_alert_says_how_bad_it_is_and_what_to_do(name: str) -> None:
    rule = rules()[name]
    assert rule["labels"]["severity"] in {"warning", "critical"}
    assert rule["annotations"]["summary"].endswith(".")
    runbook = ROOT / rule["annotations"]["runbook"]
    assert runbook.is_file()
    assert name in runbook.read_text(encoding="utf-8"), "the page says which alerts lead to it"


def _trial(name: str, given: Series, expected: Mapping[str, list[dict[str, Any]]]) -> dict[str, Any]:
    return {
        "name": name,
        "interval": f"{STEP}s",
        "input_series": [{"series": each, "values": values} for each, values in given.items()],
        "alert_rule_test": [
            {"eval_time": AT, "alertname": alert, "exp_alerts": alerts} for alert, alerts in expected.items()
        ],
    }


def _fired(rule: Mapping[str, Any], labels: Mapping[str, str]) -> dict[str, Any]:
    def filled(text: str) -> str:
        return re.sub(r"{{ \$labels\.(\w+) }}", lambda found: labels[found[1]], text)

    return {
        "exp_labels": {**rule["labels"], **labels},
        "exp_annotations": {name: filled(text) for name, text in rule["annotations"].items()},
    }


def promtool(*words: str) -> str:
    done = subprocess.run([program("promtool"), *words], capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
