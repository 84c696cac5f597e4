"""What stands in deploy/ fits the code and itself: no engine for it runs here, so it is read."""

import re
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.support.dockerfile import Stage, stages

from gatewayz.api.config import DrainConfig
from gatewayz.cli.commands import cli
from gatewayz.providers.table import PROVIDERS
from gatewayz.settings import PREFIX, WELL_KNOWN, Settings, known_variables

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
KUBERNETES = DEPLOY / "kubernetes"
# Seconds that a worker may take to settle its charges once it waits no longer: cli/supervisor.py kills it then.
SETTLED_WITHIN = 15

COMMANDS = {each.name or each.callback.__name__ for each in cli.registered_commands if each.callback is not None}


def settings_known() -> list[str]:
    providers = [name for each in PROVIDERS for name in (*each.key_variables, *each.url_variables.values())]
    return [*known_variables(), *WELL_KNOWN, *providers]


def is_setting(name: str) -> bool:
    return any(fnmatch(name, pattern) for pattern in settings_known())


def strings(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from (str(key), *strings(item))
    elif isinstance(value, list):
        for item in value:
            yield from strings(item)
    else:
        yield str(value)


def documents(path: Path) -> list[dict[str, Any]]:
    return [each for each in yaml.safe_load_all(path.read_text(encoding="utf-8")) if each is not None]


def manifest(name: str) -> dict[str, Any]:
    (found,) = documents(KUBERNETES / f"{name}.yaml")
    return found


@pytest.mark.parametrize(
    "path", sorted(each for each in DEPLOY.rglob("*") if each.is_file()), ids=lambda path: str(path.relative_to(DEPLOY))
)
def test_every_setting_that_is_named_exists(path: Path) -> None:
    text = path.read_text(encoding="utf-8", errors="replace")
    named = set(re.findall(rf"\b{PREFIX}[A-Z0-9_]+\b", text))
    assert [name for name in sorted(named) if not is_setting(name)] == []


# ── The image ───────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def image() -> list[Stage]:
    return stages(DEPLOY / "Dockerfile")


def test_what_is_copied_exists_and_is_let_through_by_the_ignore_file(image: list[Stage]) -> None:
    kept = [
        line.removeprefix("!")
        for line in (DEPLOY / "Dockerfile.dockerignore").read_text(encoding="utf-8").splitlines()
        if line.startswith("!")
    ]
    sources = [
        source
        for stage in image
        for copy in stage.all("COPY")
        if "from" not in copy.flags
        for source in copy.words[:-1]
    ]
    assert sources
    assert [source for source in sources if not (ROOT / source).exists()] == []
    assert set(sources) == set(kept)


def test_the_last_stage_takes_from_the_first_only_what_is_served(image: list[Stage]) -> None:
    build, last = image
    assert [(each.flags["from"], each.words) for each in last.all("COPY")] == [
        (build.name, ["/opt/gatewayz", "/opt/gatewayz"])
    ]
    assert build.image == last.image
    assert "slim" in last.image
    assert re.fullmatch(r"python:3\.\d+-slim-\w+", last.image), "a tag that moves within a minor version only"


def test_nothing_is_installed_but_by_hash(image: list[Stage]) -> None:
    commands = [each.rest for stage in image for each in stage.all("RUN")]
    installs = [each for each in commands if "-m pip" in each]
    assert len(installs) == 1
    assert "--require-hashes --requirement /build/requirements.lock" in installs[0]
    assert not any(word in each for each in commands for word in ("apt-get", "curl", "wget", "http"))


def test_it_runs_as_a_number_that_is_not_root_and_writes_to_one_place(image: list[Stage]) -> None:
    last = image[-1]
    assert re.fullmatch(r"[1-9]\d+:[1-9]\d+", last.one("USER").rest)
    place = last.one("VOLUME").rest
    environment = dict(pair.split("=", 1) for pair in last.one("ENV").words)
    assert environment["GATEWAYZ_DATA_DIR"] == environment["HOME"] == place
    uid = last.one("USER").rest.partition(":")[0]
    (prepared,) = last.all("RUN")
    assert f"--owner={uid} --group={uid} --mode=0700 {place}" in prepared.rest
    order = [each.name for each in last.instructions]
    assert order.index("RUN") < order.index("USER"), "what needs root is done before"
    assert last.one("EXPOSE").rest == environment["GATEWAYZ_PORT"]


def test_no_tool_to_install_more_is_left(image: list[Stage]) -> None:
    build, last = image
    assert any("-m venv --without-pip" in each.rest for each in build.all("RUN"))
    removed = last.all("RUN")[0].rest
    assert "site-packages/*" in removed
    assert "/usr/local/bin/pip*" in removed


def test_it_starts_what_people_start_and_has_a_health_check(image: list[Stage]) -> None:
    last = image[-1]
    assert last.one("ENTRYPOINT").words == ["/opt/gatewayz/bin/gatewayz"]
    assert set(last.one("CMD").words) <= COMMANDS
    check = last.one("HEALTHCHECK")
    assert {"interval", "timeout", "start-period", "retries"} <= check.flags.keys()
    assert "/health" in check.rest
    assert last.one("STOPSIGNAL").rest == "SIGTERM"


# ── Compose ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    (found,) = documents(DEPLOY / "compose.yaml")
    return found


def test_every_file_that_is_mounted_exists(compose: dict[str, Any]) -> None:
    mounts = [mount.split(":")[0] for each in compose["services"].values() for mount in each.get("volumes", ())]
    files = [mount for mount in mounts if mount.startswith(".")]
    assert len(files) >= 4
    assert [mount for mount in files if not (DEPLOY / mount).exists()] == []
    assert {mount for mount in mounts if not mount.startswith(".")} == set(compose["volumes"])


def test_the_gateway_of_compose_is_set_by_settings_that_exist(compose: dict[str, Any]) -> None:
    gateway = compose["services"]["gatewayz"]
    assert [name for name in gateway["environment"] if not is_setting(name)] == []
    Settings.model_validate({"drain": {"limit": gateway["environment"]["GATEWAYZ_DRAIN__LIMIT"]}})
    assert (
        seconds(gateway["stop_grace_period"]) >= float(gateway["environment"]["GATEWAYZ_DRAIN__LIMIT"]) + SETTLED_WITHIN
    )


def test_the_gateway_of_compose_writes_nowhere_but_to_its_volume(compose: dict[str, Any]) -> None:
    gateway = compose["services"]["gatewayz"]
    assert gateway["read_only"] is True
    assert gateway["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in gateway["security_opt"]
    assert gateway["volumes"] == ["charges:" + stages(DEPLOY / "Dockerfile")[-1].one("VOLUME").rest]
    assert (DEPLOY / gateway["build"]["context"]).resolve() == ROOT
    assert (ROOT / gateway["build"]["dockerfile"]).is_file()


def test_compose_waits_for_the_servers_and_opens_no_port_to_the_world(compose: dict[str, Any]) -> None:
    services = compose["services"]
    needed = services["gatewayz"]["depends_on"]
    assert {name for name, how in needed.items() if how["condition"] == "service_healthy"} == {"postgres", "redis"}
    assert all("healthcheck" in services[name] for name in needed)
    ports = [port for each in services.values() for port in each.get("ports", ())]
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_no_password_has_a_default(compose: dict[str, Any]) -> None:
    variables = {name for text in strings(compose) for name in re.findall(r"\$\{([^}]+)\}", text)}
    assert variables
    assert [each for each in variables if ":?" not in each] == []


def test_prometheus_asks_the_gateway_by_its_name_in_compose(compose: dict[str, Any]) -> None:
    (config,) = documents(DEPLOY / "prometheus" / "prometheus.yml")
    (target,) = config["scrape_configs"][0]["static_configs"][0]["targets"]
    host, _, port = target.partition(":")
    assert host in compose["services"]
    assert port == stages(DEPLOY / "Dockerfile")[-1].one("EXPOSE").rest
    mounted = {mount.split(":")[1] for mount in compose["services"]["prometheus"]["volumes"]}
    assert {f"/etc/prometheus/{name}" for name in config["rule_files"]} <= mounted
    (source,) = documents(DEPLOY / "grafana" / "provisioning" / "datasources" / "prometheus.yaml")[0]["datasources"]
    assert source["url"] == "http://prometheus:9090"


def test_every_image_has_a_tag_that_says_which(compose: dict[str, Any]) -> None:
    images = [each["image"] for name, each in compose["services"].items() if name != "gatewayz"]
    assert [each for each in images if ":" not in each or each.endswith(":latest")] == []


# ── Kubernetes ──────────────────────────────────────────────────────────────────────────────────────────


def seconds(text: str) -> float:
    return float(text.removesuffix("s"))


def pods() -> dict[str, dict[str, Any]]:
    return {name: manifest(name)["spec"]["template"]["spec"] for name in ("deployment", "migrate")}


def test_the_resources_of_the_kustomization_are_the_manifests() -> None:
    named = set(manifest("kustomization")["resources"])
    apart = {"kustomization.yaml", "secret.example.yaml", "migrate.yaml"}
    assert {path.name for path in KUBERNETES.glob("*.yaml")} == named | apart


def test_config_and_secret_hold_settings_that_exist() -> None:
    names = [*manifest("config")["data"], *manifest("secret.example")["stringData"]]
    assert [name for name in names if not is_setting(name)] == []
    secret = {"DATABASE_URL", "REDIS_URL", "GATEWAYZ_SECRET_KEY", "GATEWAYZ_ADMIN_KEY"}
    assert secret <= manifest("secret.example")["stringData"].keys()


@pytest.mark.parametrize("name", ["deployment", "migrate"])
def test_a_pod_is_not_root_and_writes_to_its_volumes_only(name: str) -> None:
    pod = pods()[name]
    (container,) = pod["containers"]
    user = int(stages(DEPLOY / "Dockerfile")[-1].one("USER").rest.partition(":")[0])
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] == pod["securityContext"]["fsGroup"] == user
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert pod["automountServiceAccountToken"] is False
    assert {each["name"] for each in container["volumeMounts"]} == {each["name"] for each in pod["volumes"]}
    assert stages(DEPLOY / "Dockerfile")[-1].one("VOLUME").rest in {
        each["mountPath"] for each in container["volumeMounts"]
    }
    assert set(container["args"]) <= COMMANDS


@pytest.mark.parametrize("name", ["deployment", "migrate"])
def test_no_service_sets_our_settings(name: str) -> None:
    """A Service named gatewayz makes Kubernetes set GATEWAYZ_PORT=tcp://…"""
    assert pods()[name]["enableServiceLinks"] is False


@pytest.mark.parametrize("name", ["deployment", "migrate"])
def test_a_pod_takes_what_config_and_secret_hold(name: str) -> None:
    (container,) = pods()[name]["containers"]
    assert [next(iter(each)) for each in container["envFrom"]] == ["configMapRef", "secretRef"]
    names = {each[next(iter(each))]["name"] for each in container["envFrom"]}
    assert names == {manifest("config")["metadata"]["name"], manifest("secret.example")["metadata"]["name"]}


def test_a_pod_is_given_the_time_that_a_drain_takes() -> None:
    config = manifest("config")["data"]
    drain = DrainConfig(notice=config["GATEWAYZ_DRAIN__NOTICE"], limit=config["GATEWAYZ_DRAIN__LIMIT"])
    pod = pods()["deployment"]
    (container,) = pod["containers"]
    assert pod["terminationGracePeriodSeconds"] >= drain.limit + SETTLED_WITHIN
    assert "lifecycle" not in container, "a preStop hook would delay what the notice does"
    ready = container["readinessProbe"]
    assert drain.notice > ready["periodSeconds"] * ready["failureThreshold"], "else nobody notices"
    assert drain.notice < drain.limit


def test_probes_ask_what_they_are_for() -> None:
    (container,) = pods()["deployment"]["containers"]
    paths = {kind: container[f"{kind}Probe"]["httpGet"]["path"] for kind in ("startup", "readiness", "liveness")}
    assert paths == {"startup": "/health/ready", "readiness": "/health/ready", "liveness": "/health"}
    assert {container[f"{kind}Probe"]["httpGet"]["port"] for kind in paths} == {container["ports"][0]["name"]}


def test_everything_selects_the_pods_of_the_deployment() -> None:
    labels = manifest("deployment")["spec"]["template"]["metadata"]["labels"]
    assert manifest("deployment")["spec"]["selector"]["matchLabels"] == labels
    assert manifest("service")["spec"]["selector"] == labels
    assert manifest("disruption")["spec"]["selector"]["matchLabels"] == labels
    assert labels != manifest("migrate")["spec"]["template"]["metadata"]["labels"], "a job must get no traffic"
    target = manifest("autoscaler")["spec"]["scaleTargetRef"]
    assert (target["kind"], target["name"]) == ("Deployment", manifest("deployment")["metadata"]["name"])


def test_a_rollout_never_has_less_than_it_had() -> None:
    rolling = manifest("deployment")["spec"]["strategy"]["rollingUpdate"]
    assert (rolling["maxUnavailable"], rolling["maxSurge"]) == (0, 1)
    assert manifest("disruption")["spec"]["maxUnavailable"] == 1
    assert manifest("autoscaler")["spec"]["minReplicas"] >= 2
