"""What holds for each way to deploy the server: rendered, valid, without root and secrets, and it starts."""

from __future__ import annotations

import configparser
import contextlib
import copy
import http.client
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from click.testing import CliRunner

from tfx_pedigree.cli.main import cli

ROOT = Path(__file__).resolve().parents[3]
KUSTOMIZE = ROOT / "configs/deploy/kustomize"
OVERLAYS = ("sqlite-single", "postgres-replicas")
# What the Prometheus Operator defines has no schema here, and is looked at field by field.
OPERATORS = {"ServiceMonitor", "PrometheusRule"}
SECRET = re.compile(r"(?i)passw|token|secret|access_?key|credential")
BIN = Path(sys.executable).parent

Manifest = dict[str, Any]


def render(folder: Path) -> dict[str, Manifest]:
    """By kind: there is one of each."""
    command = [str(BIN / "kubectl"), "kustomize", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    objects = [one for one in yaml.safe_load_all(done.stdout) if one]
    found = {one["kind"]: one for one in objects}
    assert len(found) == len(objects)
    return found


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Manifest]]:
    """Each overlay, with the component for the Prometheus Operator."""
    return {name: render(monitored(name, tmp_path_factory.mktemp("kustomize"))) for name in OVERLAYS}


def monitored(overlay: str, folder: Path) -> Path:
    places = {key: os.path.relpath(KUSTOMIZE / key, folder) for key in (overlay, "monitoring")}
    site = {"resources": [places[overlay]], "components": [places["monitoring"]]}
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(site), "utf-8")
    return folder


def pod(objects: dict[str, Manifest]) -> Manifest:
    spec = objects["Deployment"]["spec"]["template"]["spec"]
    assert isinstance(spec, dict)
    return spec


def server(objects: dict[str, Manifest]) -> Manifest:
    [container] = pod(objects)["containers"]
    assert isinstance(container, dict)
    return container


def oldest_and_newest() -> tuple[str, str]:
    versions = kubernetes_validate.utils.all_versions()
    assert len(versions) > 10
    return versions[0], versions[-1]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_objects_are_valid_for_the_oldest_and_the_newest_cluster(
    rendered: dict[str, dict[str, Manifest]], overlay: str
) -> None:
    for kind, one in rendered[overlay].items():
        for version in oldest_and_newest():
            if kind in OPERATORS:
                with pytest.raises(kubernetes_validate.SchemaNotFoundError):
                    kubernetes_validate.validate(one, version, strict=True)
            else:
                kubernetes_validate.validate(one, version, strict=True)


@pytest.mark.parametrize(
    "change",
    [
        lambda objects: server(objects)["ports"][0].update(containerPort="8321"),
        lambda objects: server(objects).update(readynessProbe=server(objects)["readinessProbe"]),
        lambda objects: pod(objects).pop("containers"),
    ],
)
def test_a_mistake_would_not_be_valid(
    rendered: dict[str, dict[str, Manifest]], change: Callable[[dict[str, Manifest]], object]
) -> None:
    objects = copy.deepcopy(rendered["postgres-replicas"])
    change(objects)
    for version in oldest_and_newest():
        with pytest.raises(kubernetes_validate.ValidationError):
            kubernetes_validate.validate(objects["Deployment"], version, strict=True)


def weaknesses(spec: Manifest) -> Iterator[str]:
    """Of a pod: what a cluster with the restricted standard refuses, and more."""
    context = spec.get("securityContext", {})
    if context.get("runAsNonRoot") is not True or context.get("runAsUser") != 10001:
        yield "it may run as root"
    if context.get("seccompProfile") != {"type": "RuntimeDefault"}:
        yield "all system calls are allowed"
    if spec.get("automountServiceAccountToken") is not False:
        yield "it holds a token of the cluster"
    if spec.get("hostNetwork") or spec.get("hostPID") or any("hostPath" in one for one in spec["volumes"]):
        yield "it reaches the node"
    for one in (*spec["initContainers"], *spec["containers"]):
        locked = one.get("securityContext", {})
        if locked.get("readOnlyRootFilesystem") is not True:
            yield f"{one['name']} may change its image"
        if locked.get("allowPrivilegeEscalation") is not False or locked.get("capabilities") != {"drop": ["ALL"]}:
            yield f"{one['name']} may become more"
        if "memory" not in one.get("resources", {}).get("limits", {}) or "cpu" not in one["resources"]["requests"]:
            yield f"{one['name']} has no bounds"
        for variable in one.get("env", ()):
            if SECRET.search(variable["name"]) and "secretKeyRef" not in variable.get("valueFrom", {}):
                yield f"{one['name']} has a secret in its manifest"


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_no_root_nothing_to_write_to_but_volumes_and_bounded(
    rendered: dict[str, dict[str, Manifest]], overlay: str
) -> None:
    spec = pod(rendered[overlay])
    assert list(weaknesses(spec)) == []
    volumes = {one["name"] for one in spec["volumes"]}
    for one in (*spec["initContainers"], *spec["containers"]):
        mounts = {mount["name"]: mount["mountPath"] for mount in one["volumeMounts"]}
        assert mounts.keys() == volumes
        assert mounts["tmp"] == "/tmp"


@pytest.mark.parametrize(
    ("path", "value", "weakness"),
    [
        (("securityContext", "runAsUser"), 0, "it may run as root"),
        (("securityContext", "seccompProfile"), {"type": "Unconfined"}, "all system calls"),
        (("automountServiceAccountToken",), True, "a token of the cluster"),
        (("hostNetwork",), True, "reaches the node"),
        (("containers", 0, "securityContext", "readOnlyRootFilesystem"), False, "server may change its image"),
        (("initContainers", 0, "securityContext", "capabilities"), {}, "init may become more"),
        (("containers", 0, "resources", "limits"), {}, "server has no bounds"),
        (("containers", 0, "env", 0), {"name": "PGPASSWORD", "value": "x"}, "server has a secret"),
    ],
)
def test_a_weakness_would_be_seen(
    rendered: dict[str, dict[str, Manifest]], path: tuple[Any, ...], value: object, weakness: str
) -> None:
    spec: Any = copy.deepcopy(pod(rendered["postgres-replicas"]))
    place = spec
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    assert weakness in " ".join(weaknesses(spec))


def test_no_file_holds_a_secret() -> None:
    files = [path for path in sorted((ROOT / "configs/deploy").rglob("*")) if path.is_file()]
    assert len(files) > 10
    for path in files:
        text = path.read_text("utf-8")
        assert not re.search(r"kind: Secret\b|secretGenerator|stringData", text), path
        assert not re.search(r"://[^/\s:]+:[^@\s]+@", text), path


def test_an_update_of_replicas_stops_no_request(rendered: dict[str, dict[str, Manifest]]) -> None:
    from tfx_pedigree.server.running import GRACE

    objects = rendered["postgres-replicas"]
    spec = objects["Deployment"]["spec"]
    assert spec["replicas"] >= 2
    assert spec["strategy"] == {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}}
    container = server(objects)
    _, seconds = container["lifecycle"]["preStop"]["exec"]["command"]
    assert pod(objects)["terminationGracePeriodSeconds"] > int(seconds) + GRACE
    assert container["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": "http"}
    assert container["livenessProbe"]["httpGet"] == {"path": "/healthz", "port": "http"}
    budget = objects["PodDisruptionBudget"]["spec"]
    assert budget["maxUnavailable"] < spec["replicas"]
    assert budget["selector"] == spec["selector"]


def test_an_sqlite_file_is_never_served_by_two_pods(rendered: dict[str, dict[str, Manifest]]) -> None:
    objects = rendered["sqlite-single"]
    spec = objects["Deployment"]["spec"]
    assert (spec["replicas"], spec["strategy"]) == (1, {"type": "Recreate"})
    assert objects["PersistentVolumeClaim"]["spec"]["accessModes"] == ["ReadWriteOncePod"]
    assert "--workers" not in " ".join(server(objects)["args"])
    # A budget for one pod would keep its node from ever being emptied.
    assert "PodDisruptionBudget" not in objects


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_names_that_objects_call_each_other_by_are_those_that_they_have(
    rendered: dict[str, dict[str, Manifest]], overlay: str
) -> None:
    objects = rendered[overlay]
    labels = objects["Deployment"]["spec"]["template"]["metadata"]["labels"]
    service, monitor = objects["Service"], objects["ServiceMonitor"]["spec"]
    assert service["spec"]["selector"].items() <= labels.items()
    assert {one["targetPort"] for one in service["spec"]["ports"]} == {one["name"] for one in server(objects)["ports"]}
    assert monitor["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    assert {one["port"] for one in monitor["endpoints"]} == {one["name"] for one in service["spec"]["ports"]}
    assert pod(objects)["serviceAccountName"] == objects["ServiceAccount"]["metadata"]["name"]
    for one in (*pod(objects)["initContainers"], *pod(objects)["containers"]):
        assert one["envFrom"][0] == {"configMapRef": {"name": objects["ConfigMap"]["metadata"]["name"]}}


def test_the_operators_objects_say_what_prometheus_is_told_without_it(
    rendered: dict[str, dict[str, Manifest]],
) -> None:
    objects = rendered["postgres-replicas"]
    alerts = yaml.safe_load((ROOT / "configs/monitoring/alerts.yaml").read_text("utf-8"))
    rule, monitor = objects["PrometheusRule"], objects["ServiceMonitor"]
    assert {rule["apiVersion"], monitor["apiVersion"]} == {"monitoring.coreos.com/v1"}
    assert rule["spec"] == alerts
    # The alert on a server that is down asks for the job by the name that the operator gives it: the service's.
    assert f'job="{objects["Service"]["metadata"]["name"]}"' in alerts["groups"][0]["rules"][0]["expr"]
    assert monitor["spec"]["endpoints"] == [
        {
            "port": "http",
            "path": "/metrics",
            "interval": "30s",
            "authorization": {"credentials": {"name": "pedigree-metrics", "key": "token"}},
        }
    ]


def test_the_documents_own_overlay_renders_to_what_it_says(tmp_path: Path) -> None:
    text = (ROOT / "docs/deployment.md").read_text("utf-8")
    [site] = re.findall(r"^```yaml\n# configs/deploy/kustomize/site/kustomization\.yaml\n(.*?)^```$", text, re.S | re.M)
    shutil.copytree(KUSTOMIZE, tmp_path / "kustomize")
    (tmp_path / "kustomize/site").mkdir()
    (tmp_path / "kustomize/site/kustomization.yaml").write_text(site, "utf-8")
    objects = render(tmp_path / "kustomize/site")
    for one in objects.values():
        assert one["metadata"]["namespace"] == "pedigree"
        if one["kind"] not in OPERATORS:
            kubernetes_validate.validate(one, oldest_and_newest()[1], strict=True)
    given = objects["ConfigMap"]
    assert given["data"]["PUBLIC_HOST"] == "models.example.com"
    assert {one["envFrom"][0]["configMapRef"]["name"] for one in pod(objects)["initContainers"]} == {
        given["metadata"]["name"]
    }
    assert server(objects)["image"] == pod(objects)["initContainers"][0]["image"]
    assert server(objects)["image"].startswith("registry.example.com/pedigree@sha256:")
    assert server(objects)["args"][-1] == "--proxy=10.0.0.0/8"
    assert CliRunner().invoke(cli, [*server(objects)["args"], "--help"]).exit_code == 0
    assert list(weaknesses(pod(objects))) == []


# Starting it


@dataclass(frozen=True)
class Running:
    """A server that was started with the command line of a manifest; `port` stands for the manifest's."""

    process: subprocess.Popen[bytes]
    environ: dict[str, str]
    port: int

    def get(self, path: str, host: str, token: str = "") -> int:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        headers = {"Host": host} | ({"Authorization": f"Bearer {token}"} if token else {})
        with contextlib.closing(connection):
            connection.request("GET", path, headers=headers)
            return connection.getresponse().status

    def wait_until_ready(self) -> None:
        give_up = time.monotonic() + 30
        while True:
            try:
                if self.get("/readyz", "10.1.2.3:8321") == 200:
                    return
            except OSError:
                assert self.process.poll() is None
            assert time.monotonic() < give_up
            time.sleep(0.02)


def environment(objects: dict[str, Manifest], folder: Path) -> dict[str, str]:
    """That of the container; its volume is a folder here."""
    mounts = {mount["name"]: mount["mountPath"] for mount in server(objects)["volumeMounts"]}
    given = {key: text.replace(mounts["data"], str(folder)) for key, text in objects["ConfigMap"]["data"].items()}
    cluster = {"status.podIP": "127.0.0.2", "metadata.namespace": "models"}
    for variable in server(objects)["env"]:
        given[variable["name"]] = cluster[variable["valueFrom"]["fieldRef"]["fieldPath"]]
    others = {key: text for key, text in os.environ.items() if not key.startswith("PEDIGREE_")}
    return {**others, **given, "PATH": f"{BIN}:{os.environ['PATH']}"}


@contextlib.contextmanager
def started(words: list[str], environ: dict[str, str]) -> Iterator[Running]:
    """The command line as Kubernetes would start it: $(NAME) is a variable's value."""
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]
    expanded = [re.sub(r"\$\((\w+)\)", lambda name: environ[name[1]], word) for word in words]
    assert any("8321" in word for word in expanded)
    command = [word.replace("8321", str(port)) for word in expanded]
    with subprocess.Popen(command, env=environ, stdout=subprocess.DEVNULL) as process:
        try:
            running = Running(process, environ, port)
            running.wait_until_ready()
            yield running
        finally:
            process.kill()


@contextlib.contextmanager
def started_as(objects: dict[str, Manifest], folder: Path) -> Iterator[Running]:
    """The init container has run, and a second time, as it does at each start of a pod."""
    environ = environment(objects, folder)
    for _ in range(2):
        [init] = pod(objects)["initContainers"]
        subprocess.run(init["command"], env=environ, check=True, stdout=subprocess.DEVNULL)
    with started([*server(objects)["command"], *server(objects)["args"]], environ) as running:
        yield running


def test_the_command_of_the_manifests_serves(rendered: dict[str, dict[str, Manifest]], tmp_path: Path) -> None:
    with started_as(rendered["sqlite-single"], tmp_path) as running:
        check_that_it_serves(running)


def check_that_it_serves(running: Running) -> None:
    # As `kubectl exec deployment/pedigree -- pedigree tokens create` does.
    command = ["pedigree", "tokens", "create", "laptop", "--for", "admin"]
    done = subprocess.run(command, env=running.environ, check=True, capture_output=True, text=True)
    token = done.stdout.strip()
    for host in ("pedigree.example.com", "pedigree", "pedigree.models.svc", "127.0.0.2:8321"):
        assert running.get("/api/v1/models", host, token) == 200, host
    assert running.get("/metrics", "127.0.0.2:8321", token) == 200
    assert running.get("/api/v1/models", "pedigree.example.com") == 401
    assert running.get("/api/v1/models", "lured.example.net", token) == 421
    healthy = [
        word.replace("8321", str(running.port)) for word in compose()["services"]["server"]["healthcheck"]["test"]
    ]
    subprocess.run(healthy[1:], env=running.environ, check=True)
    running.process.send_signal(signal.SIGTERM)
    assert running.process.wait(30) in (0, -signal.SIGTERM)
    assert subprocess.run(healthy[1:], env=running.environ, capture_output=True, check=False).returncode != 0


def test_both_overlays_start_the_server_alike(rendered: dict[str, dict[str, Manifest]]) -> None:
    one, other = (server(rendered[name]) for name in OVERLAYS)
    assert (one["command"], one["args"]) == (other["command"], other["args"])


# Docker Compose. It has no validator without Docker, so the fields that the file uses are checked by hand.

SERVICE = {
    **dict.fromkeys(("image", "restart", "stop_grace_period"), str),
    **dict.fromkeys(("command", "volumes", "tmpfs", "cap_drop", "security_opt", "ports"), list),
    **dict.fromkeys(("environment", "depends_on", "healthcheck"), dict),
    "read_only": bool,
}
CONDITIONS = {"service_healthy", "service_completed_successfully"}
VARIABLE = re.compile(r"\$\{(\w+)(?::\?[^}]+|:-[^}]*)\}")


def compose() -> Manifest:
    found = yaml.safe_load((ROOT / "configs/deploy/compose.yaml").read_text("utf-8"))
    assert isinstance(found, dict)
    return found


def invalid(file: Manifest) -> Iterator[str]:
    yield from sorted(key for key in file if key not in ("name", "services", "volumes") and not key.startswith("x-"))
    for name, service in file["services"].items():
        for key, value in service.items():
            if not isinstance(value, SERVICE.get(key, ())):
                yield f"{name}.{key}"
            if isinstance(value, list) and not all(isinstance(one, str) for one in value):
                yield f"{name}.{key} holds what is no text"
        for other, how in service.get("depends_on", {}).items():
            if other not in file["services"] or how["condition"] not in CONDITIONS:
                yield f"{name} waits for {other}"
            elif how["condition"] == "service_healthy" and "healthcheck" not in file["services"][other]:
                yield f"{name} waits until {other} is healthy, which nobody looks at"
        for volume in service.get("volumes", ()):
            if volume.partition(":")[0] not in file["volumes"]:
                yield f"{name} mounts {volume}"
        for key, text in service.get("environment", {}).items():
            if not isinstance(text, str) or "$" in VARIABLE.sub("", text):
                yield f"{name}: {key} is no text"
            if SECRET.search(key) and not VARIABLE.fullmatch(text):
                yield f"{name}: {key} is a secret in a file"


def test_the_compose_file_is_one() -> None:
    assert list(invalid(compose())) == []


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda file: file.update(service={}), "service"),
        (lambda file: file["services"]["server"].update(comand=["pedigree"]), "server.comand"),
        (lambda file: file["services"]["server"].update(read_only="yes"), "server.read_only"),
        (lambda file: file["services"]["server"].update(ports=[8321]), "server.ports holds what is no text"),
        (lambda file: file["services"]["database"].pop("healthcheck"), "which nobody looks at"),
        (lambda file: file["services"]["init"].update(depends_on={"db": {}}), "init waits for db"),
        (lambda file: file["volumes"].pop("store"), "server mounts store:/var/lib/pedigree"),
        (lambda file: file["services"]["server"]["environment"].update(PGPASSWORD="x"), "a secret in a file"),
    ],
)
def test_a_compose_file_that_is_none_would_be_seen(change: Callable[[Manifest], object], problem: str) -> None:
    file = copy.deepcopy(compose())
    change(file)
    assert problem in " ".join(invalid(file))


def test_composed_servers_are_locked_in_and_reached_from_this_computer_only() -> None:
    from tfx_pedigree.server.running import GRACE

    services = compose()["services"]
    for name in ("init", "server"):
        assert services[name]["read_only"] is True
        assert services[name]["cap_drop"] == ["ALL"]
        assert services[name]["security_opt"] == ["no-new-privileges:true"]
    assert services["server"]["ports"] == ["127.0.0.1:8321:8321"]
    assert "ports" not in services["database"]
    assert int(services["server"]["stop_grace_period"].removesuffix("s")) > GRACE


def test_commands_of_all_deployments_exist(rendered: dict[str, dict[str, Manifest]]) -> None:
    services = compose()["services"]
    unit = read_unit()["Service"]
    commands = [
        *(pod(rendered["sqlite-single"])["initContainers"][0]["command"], services["init"]["command"]),
        *([*server(objects)["command"], *server(objects)["args"]] for objects in rendered.values()),
        services["server"]["command"],
        *(shlex.split(unit[key]) for key in ("ExecStartPre", "ExecStart")),
    ]
    for program, *words in commands:
        assert Path(program).name == "pedigree"
        # What is unknown is refused before the help is shown.
        assert CliRunner().invoke(cli, [*words, "--help"]).exit_code == 0, words


# systemd

UNIT = ROOT / "configs/systemd/pedigree-server.service"


def read_unit() -> configparser.ConfigParser:
    unit = configparser.ConfigParser(interpolation=None, strict=False)
    unit.optionxform = str  # type: ignore[assignment]
    unit.read(UNIT)
    return unit


def test_the_unit_is_locked_in_and_gives_requests_at_hand_their_time() -> None:
    from tfx_pedigree.server.running import GRACE

    service = read_unit()["Service"]
    assert int(service["TimeoutStopSec"]) > GRACE
    # Only the first process is told to stop: it tells its workers.
    assert service["KillMode"] == "mixed"
    assert service["User"] == "pedigree"
    assert service["ProtectSystem"] == "strict"
    assert service["CapabilityBoundingSet"] == ""
    on = {key for key, text in service.items() if text == "true"}
    assert {"NoNewPrivileges", "PrivateTmp", "PrivateDevices", "ProtectHome", "RestrictNamespaces"} <= on
    # What it must write to is the one folder that is left to it.
    assert f"PEDIGREE_REGISTRY=/var/lib/{service['StateDirectory']} " in service["Environment"]


def test_systemd_understands_the_unit(tmp_path: Path) -> None:
    """Where there is systemd; elsewhere the test above has read all that matters of it."""
    program = shutil.which("systemd-analyze")
    if program is not None:
        copied = tmp_path / UNIT.name
        copied.write_text(UNIT.read_text("utf-8").replace("/srv/pedigree/venv/bin/pedigree", "/bin/true"), "utf-8")
        done = subprocess.run([program, "verify", str(copied)], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")
