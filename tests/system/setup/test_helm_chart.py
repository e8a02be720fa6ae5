"""The Helm chart says what the Kustomize overlays say: rendered and linted by Helm itself, valid, and strict about its
values."""

from __future__ import annotations

import json
import re
import subprocess
from typing import Any

import kubernetes_validate
import pytest
import yaml
from click.testing import CliRunner
from test_deployment import KUSTOMIZE, OPERATORS, ROOT, Manifest, oldest_and_newest, pod, render, server, weaknesses

from programs_testing import program
from tfx_pedigree.cli.main import cli

CHART = ROOT / "configs/deploy/helm"
# In Helm's own Python, which reads a list of values and writes what each renders to, or why it does not.
RENDER = """
import json, sys
import helm_python as helm
from helm_python.chart import Chart, lint
found = []
with Chart.load(sys.argv[1]) as chart:
    for values in json.load(sys.stdin):
        try:
            chart.validate_schema(values)
            found.append(chart.render(values, name="pedigree", namespace="models"))
        except Exception as error:
            found.append(f"{type(error).__name__}: {error}")
print(json.dumps([lint(sys.argv[1], strict=True), found]))
"""
POSTGRES = {
    "registry": "postgresql://pedigree@postgres.example.com/registry?sslmode=require",
    "store": "s3://models.example.com/pedigree",
}
VALUES: dict[str, dict[str, Any]] = {
    "sqlite-single": {},
    "postgres-replicas": POSTGRES,
    "all": {
        **POSTGRES,
        "image": {"repository": "registry.example.com/pedigree", "digest": f"sha256:{'0' * 64}"},
        "publicHost": "models.example.com",
        "replicas": 3,
        "arguments": ["--proxy=10.0.0.0/8", "--presigned"],
        "issuersSecret": "pedigree-issuers",
        "serviceAccountAnnotations": {"eks.amazonaws.com/role-arn": "arn:aws:iam::1:role/models"},
        "serviceMonitor": True,
    },
    "sqlite and issuers": {"issuersSecret": "pedigree-issuers"},
}
[SITE] = re.findall(
    r"^```yaml\n# site\.yaml\n(.*?)^```$", (ROOT / "docs/deployment.md").read_text("utf-8"), re.S | re.M
)
VALUES["the documents"] = yaml.safe_load(SITE)
WRONG: list[dict[str, Any]] = [
    {"replica": 3},
    {"image": {"repository": "x", "digest": "latest"}},
    {"publicHost": "https://models.example.com"},
    {"registry": POSTGRES["registry"]},
    {"store": POSTGRES["store"]},
    {"registry": "postgresql://pedigree:password@db/registry", "store": "s3://x/y"},
    {"registry": "/var/lib/pedigree", "store": "s3://x/y"},
    {"arguments": ["--host=0.0.0.0", "serve"]},
    {"replicas": 0, **POSTGRES},
]


@pytest.fixture(scope="module")
def helm() -> tuple[Any, list[Any]]:
    """What lint says, and what the values render to."""
    asked = json.dumps([*VALUES.values(), *WRONG])
    command = [program("helm_python"), "-c", RENDER, str(CHART)]
    done = subprocess.run(command, input=asked, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    said, found = json.loads(done.stdout)
    return said, found


def objects_of(files: Any) -> dict[str, Manifest]:
    assert isinstance(files, dict), files
    found = [one for text in files.values() for one in yaml.safe_load_all(text) if one]
    assert len({one["kind"] for one in found}) == len(found)
    return {one["kind"]: one for one in found}


@pytest.fixture(scope="module")
def rendered(helm: tuple[Any, list[Any]]) -> dict[str, dict[str, Manifest]]:
    return {name: objects_of(files) for name, files in zip(VALUES, helm[1], strict=False)}


def test_helm_has_nothing_to_say_about_the_chart(helm: tuple[Any, list[Any]]) -> None:
    said = helm[0]
    assert said["errors"] == []
    # That there is no icon is all that it would like to say.
    assert [one["error"] for one in said["messages"] if one["severity"] > 1] == []


def plain(value: Any) -> Any:
    """Without what Helm or Kustomize add to keep objects apart, and with lists of named things in one order."""
    if isinstance(value, dict):
        kept = {name: plain(one) for name, one in value.items() if name not in LABELS}
        return {name: one for name, one in kept.items() if one not in ({}, None)}
    if isinstance(value, list):
        parts = [plain(one) for one in value]
        named = all(isinstance(one, dict) and "name" in one for one in parts)
        return sorted(parts, key=lambda one: str(one["name"])) if named else parts
    return re.sub(r"^pedigree-[a-z0-9]{10}$", "pedigree", value) if isinstance(value, str) else value


LABELS = {"app.kubernetes.io/instance", "pedigree/settings", "helm.sh/resource-policy"}


@pytest.mark.parametrize("overlay", ["sqlite-single", "postgres-replicas"])
def test_it_renders_to_the_objects_of_the_overlay(rendered: dict[str, dict[str, Manifest]], overlay: str) -> None:
    wanted = render(KUSTOMIZE / overlay)
    assert rendered[overlay].keys() == wanted.keys()
    for kind, one in rendered[overlay].items():
        assert plain(one) == plain(wanted[kind]), kind


@pytest.mark.parametrize("values", VALUES)
def test_objects_are_valid_and_locked_in(rendered: dict[str, dict[str, Manifest]], values: str) -> None:
    objects = rendered[values]
    for kind, one in objects.items():
        if kind not in OPERATORS:
            for version in oldest_and_newest():
                kubernetes_validate.validate(one, version, strict=True)
    assert list(weaknesses(pod(objects))) == []
    assert CliRunner().invoke(cli, [*server(objects)["args"], "--help"]).exit_code == 0
    mounted = {one["name"] for one in server(objects)["volumeMounts"]}
    assert mounted == {one["name"] for one in pod(objects)["volumes"]}


def test_what_is_given_arrives(rendered: dict[str, dict[str, Manifest]]) -> None:
    objects = rendered["all"]
    assert objects["ConfigMap"]["data"]["PUBLIC_HOST"] == "models.example.com"
    assert objects["Deployment"]["spec"]["replicas"] == 3
    assert server(objects)["image"] == f"registry.example.com/pedigree@sha256:{'0' * 64}"
    assert server(objects)["args"][-3:] == [
        "--issuers=/etc/pedigree/issuers.yaml",
        "--proxy=10.0.0.0/8",
        "--presigned",
    ]
    [issuers] = [one for one in pod(objects)["volumes"] if one["name"] == "issuers"]
    assert issuers["secret"] == {"secretName": "pedigree-issuers"}
    assert "eks.amazonaws.com/role-arn" in objects["ServiceAccount"]["metadata"]["annotations"]
    monitor = objects["ServiceMonitor"]["spec"]
    labels = objects["Service"]["metadata"]["labels"]
    assert monitor["selector"]["matchLabels"].items() <= labels.items()
    assert monitor["endpoints"][0]["authorization"]["credentials"]["name"] == "pedigree-metrics"


def test_changed_settings_start_the_pods_anew(rendered: dict[str, dict[str, Manifest]]) -> None:
    marks = {
        objects["Deployment"]["spec"]["template"]["metadata"]["annotations"]["pedigree/settings"]
        for objects in rendered.values()
    }
    assert len(marks) == 4, "two of them have the same settings"


def test_values_that_are_none_are_refused(helm: tuple[Any, list[Any]]) -> None:
    for values, said in zip(WRONG, helm[1][len(VALUES) :], strict=True):
        assert isinstance(said, str), values
        assert "HelmValuesError" in said, (values, said)


def test_the_chart_and_the_package_have_one_version() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text("utf-8"))
    from tfx_pedigree import __version__

    assert (chart["version"], chart["appVersion"]) == (__version__, __version__)
