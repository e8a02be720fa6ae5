"""`pedigree rollout template` writes what real load balancers take, out of a target in a config."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from cli_testing import Pedigree

from programs_testing import program

CONFIG = """
serving:
  eu:
    model: flight-delay
    kind: haproxy
    listen: 127.0.0.1:8500
    socket: /tmp/pedigree-none.sock
    map: ${here}/routes.map
    places: &places
      - {name: blue, folder: "${here}/blue", address: "http://127.0.0.1:8501"}
      - {name: green, folder: "${here}/green", address: "http://localhost:8502"}
  us:
    model: flight-delay
    kind: envoy
    listen: 127.0.0.1:8500
    admin: http://127.0.0.1:9901
    controller: 127.0.0.1:9902
    runtime: ${here}/runtime
    places: *places
  alone:
    model: flight-delay
    kind: tensorflow-serving
    address: http://127.0.0.1:8501
    config: ${here}/models.config
    folder: ${here}/models
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    file = tmp_path / "serving.yaml"
    file.write_text(CONFIG, "utf-8")
    return file


@pytest.mark.parametrize("kind", ["haproxy", "envoy"])
@pytest.mark.system
def test_the_load_balancer_takes_its_configuration(pedigree: Pedigree, config: Path, tmp_path: Path, kind: str) -> None:
    said = pedigree("--config", str(config), "rollout", "template", kind, "--prepare")
    assert "everything goes to blue until a controller comes" in said.err
    written = tmp_path / f"written.{'cfg' if kind == 'haproxy' else 'yaml'}"
    written.write_text(said.out, "utf-8")
    check = {"haproxy": ["-c", "-f"], "envoy": ["--mode", "validate", "-l", "error", "-c"]}[kind]
    done = subprocess.run([program(kind), *check, str(written)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert pedigree("--config", str(config), "rollout", "template", kind, "--prepare").err == ""


def test_tensorflow_serving_gets_its_first_file(pedigree: Pedigree, config: Path, tmp_path: Path) -> None:
    said = pedigree("--config", str(config), "rollout", "template", "tensorflow-serving", "--prepare")
    assert "--model_config_file_poll_wait_seconds" in said.out
    assert (tmp_path / "models.config").read_text("utf-8") == said.out


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("kind: haproxy -> kind: python", "has no target of the kind haproxy"),
        ("    listen: 127.0.0.1:8500\n    socket -> socket", "lacks `listen`"),
        ("listen: 127.0.0.1:8500 -> listen: 'x:1 ssl'", "such as 0.0.0.0:8500"),
        ("socket: /tmp/pedigree-none.sock -> socket: sock", "absolute path"),
        ("socket: /tmp/pedigree-none.sock -> socket: /" + "x" * 100, "at most 90 characters"),
        ("http://127.0.0.1:8501 -> https://127.0.0.1:8501/v1", "http://host:port"),
        ("name: green -> name: blue", "two places"),
        ("name: green -> name: Grün", "a short name"),
    ],
)
def test_a_target_that_is_wrong_is_refused_with_its_place(
    pedigree: Pedigree, config: Path, change: str, message: str
) -> None:
    old, new = change.split(" -> ")
    text = CONFIG.replace(f"{old}", f"    {new}" if old.startswith("    ") else new)
    assert text != CONFIG
    config.write_text(text, "utf-8")
    kind = "haproxy"
    said = pedigree("--config", str(config), "rollout", "template", kind, code=3 if "no target" in message else 2)
    assert message in said.err


def test_a_template_without_a_config_says_that_none_was_given(pedigree: Pedigree) -> None:
    said = pedigree("rollout", "template", "haproxy", code=3)
    assert "No config was given, so there is no target of the kind haproxy" in said.err
