"""The targets in docs/rollout.md are read as they stand there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tfx_pedigree.errors import UnavailableError
from tfx_pedigree.rollout.spec_file import parse_plan
from tfx_pedigree.rollout.targets import load_targets
from tfx_pedigree.rollout.traffic.api import ManagerContext
from tfx_pedigree.rollout.traffic.opening import KINDS, open_manager
from tfx_pedigree.rollout.traffic.templates import template_of

PAGE = Path(__file__).resolve().parents[3] / "docs/rollout.md"
WRITTEN = re.findall(r"```yaml\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
EXAMPLES = [text for text in WRITTEN if "kind:" in text]


@pytest.mark.parametrize("text", EXAMPLES, ids=lambda text: str(re.findall(r"kind: (\S+)", text)[0]))
def test_an_example_is_a_target_that_can_be_opened(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(
        "{apiVersion: v1, kind: Config, current-context: a, contexts: [{name: a, context: {cluster: a}}], "
        "clusters: [{name: a, cluster: {server: 'http://127.0.0.1:9'}}]}",
        "utf-8",
    )
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig))
    monkeypatch.setattr("kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", str(kubeconfig))
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "none.json"))
    file = tmp_path / "serving.yaml"
    file.write_text(text, "utf-8")
    [target] = load_targets(file, {}).values()
    manager = open_manager(target, ManagerContext(target.model, lambda version, folder: None, {}, lambda: 0.0))
    assert manager.capabilities()
    with pytest.raises(UnavailableError):
        manager.observe()
    if target.kind not in ("gateway-api", "kserve"):
        assert target.model in template_of(target, {}).text


@pytest.mark.parametrize("text", [text for text in WRITTEN if "kind:" not in text])
def test_an_example_without_a_target_is_a_plan(text: str) -> None:
    assert parse_plan(text, "docs/rollout.md").steps


def test_the_page_tells_of_every_kind() -> None:
    assert set(re.findall(r"^\| `([a-z-]+)` \|", PAGE.read_text("utf-8"), re.MULTILINE)) == set(KINDS)
