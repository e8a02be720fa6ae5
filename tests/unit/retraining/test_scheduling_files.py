"""The files to copy: what they call exists, and what the document shows of them is what they are."""

from __future__ import annotations

import configparser
import re
import shlex
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from tfx_pedigree.cli.main import cli
from tfx_pedigree.pipeline_config import load_pipeline
from tfx_pedigree.retraining.spans import SpanPattern

ROOT = Path(__file__).parents[3]
SYSTEMD = ROOT / "configs" / "systemd"
VARIABLES = dict.fromkeys(("PEDIGREE_ROOT", "PEDIGREE_DATA", "PEDIGREE_BUCKET", "PEDIGREE_IMAGE"), "gs://b")


def understood(words: list[str]) -> bool:
    """Whether there is such a command with such options: what is unknown is refused before the help is shown."""
    return CliRunner().invoke(cli, [*words, "--help"]).exit_code == 0


def test_service_calls_a_command_that_exists_and_ends_it_as_a_whole() -> None:
    unit = configparser.ConfigParser(interpolation=None, strict=False)
    unit.optionxform = str  # type: ignore[assignment]
    unit.read(SYSTEMD / "pedigree-retrain@.service")
    program, *words = shlex.split(unit["Service"]["ExecStart"])
    assert Path(program).name == "pedigree"
    assert understood(words)
    assert unit["Service"]["Type"] == "oneshot"
    # A unit of this kind would let the pipeline live on when the command is stopped.
    assert unit["Service"].get("KillMode", "control-group") == "control-group"


def test_timer_belongs_to_the_service_and_runs_after_the_machine_was_off() -> None:
    unit = configparser.ConfigParser(interpolation=None)
    unit.optionxform = str  # type: ignore[assignment]
    unit.read(SYSTEMD / "pedigree-retrain@.timer")
    assert (SYSTEMD / "pedigree-retrain@.service").exists()
    assert unit["Timer"]["Persistent"] == "true"


def test_job_of_the_cluster_calls_a_command_that_exists_one_at_a_time() -> None:
    job = yaml.safe_load((ROOT / "configs" / "kubernetes" / "retrain.yaml").read_text())
    assert job["spec"]["concurrencyPolicy"] == "Forbid"
    pod = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    program, *words = pod["containers"][0]["command"]
    assert (program, understood(words)) == ("pedigree", True)
    named = {one["name"] for one in pod["containers"][0]["env"]}
    wanted = set(re.findall(r"\$\{(PEDIGREE_\w+)\}", (ROOT / "configs" / "kubeflow.yaml").read_text()))
    assert wanted <= named


def test_job_of_the_cluster_brings_what_the_image_does_not_hold_and_writes_where_it_may() -> None:
    """The image holds the pipeline's code alone, and its user may write nothing beside it."""
    job = yaml.safe_load((ROOT / "configs" / "kubernetes" / "retrain.yaml").read_text())
    pod = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    kinds = {one["name"]: ({*one} - {"name"}).pop() for one in pod["volumes"]}
    mounts = {one["mountPath"]: kinds[one["name"]] for one in container["volumeMounts"]}
    inside = Path(container["workingDir"])
    file = inside / container["command"][container["command"].index("--config") + 1]
    assert mounts[str(file.parent)] == "configMap"
    config = load_pipeline(ROOT / "configs" / file.name, {**VARIABLES, "PEDIGREE_REGISTRY": "x"})
    moved = {Path(path).resolve().relative_to(ROOT).parts[0] for path in (config.log, target_output(file.name))}
    assert {mounts[str(inside / part)] for part in moved} == {"emptyDir"}
    assert Path(config.path).resolve() == ROOT
    assert config.settings["code"] == str(inside)


def target_output(name: str) -> Path:
    target = yaml.safe_load((ROOT / "configs" / name).read_text())["target"]
    return ROOT / "configs" / str(target["output"])


def test_every_command_of_the_document_is_understood() -> None:
    text = (ROOT / "docs" / "scheduling.md").read_text()
    lines = re.findall(r"^(?:\$ )?(pedigree [^#\n]*)", text, re.M)
    assert len(lines) >= 7
    assert not understood(["pipeline", "retrain", "--dry"])
    for line in lines:
        assert understood(shlex.split(re.sub(r"\[(.*?)\]", r"\1", line))[1:]), line


@pytest.mark.parametrize("name", ["local.yaml", "kubeflow.yaml", "vertex.yaml"])
def test_reference_configs_say_where_the_spans_are_and_which_policy(name: str) -> None:
    config = load_pipeline(ROOT / "configs" / name, {**VARIABLES, "PEDIGREE_REGISTRY": "x"})
    pattern = SpanPattern.of(config.spans)
    assert pattern.marker is not None
    assert pattern.marker.endswith("/span-{SPAN}/about.json")
    assert Path(config.settings["pedigree"]["policy"]).resolve() == ROOT / "configs" / "policy.yaml"
