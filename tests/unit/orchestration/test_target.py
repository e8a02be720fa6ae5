"""The section `target:` of a config: what it may say, and what is said of one that is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from tfx_pedigree.errors import InvalidInputError
from tfx_pedigree.orchestration.ir import SpecKind
from tfx_pedigree.orchestration.target import load_target

CONFIGS = Path(__file__).parents[3] / "configs"


def written(folder: Path, text: str) -> Path:
    path = folder / "service.yaml"
    path.write_text(text)
    return path


def test_target_is_filled_in_and_its_paths_are_its_own(tmp_path: Path) -> None:
    text = """
target:
  kind: kubeflow
  image: {default: "${IMAGE}", Trainer: "gpu:1"}
  output: ../out/flight.yaml
  env: {PEDIGREE_ACTOR: ci, THREADS: 2}
  secrets: {PGPASSWORD: db/password}
  volumes: {/mnt/models: claim}
  host: https://kubeflow.example
  schedule: {cron: 0 3 * * *}
"""
    found = load_target(written(tmp_path, text), {"IMAGE": "small:1"})
    assert found.kind is SpecKind.KUBEFLOW
    assert found.images == {"default": "small:1", "Trainer": "gpu:1"}
    assert found.output == tmp_path / "../out/flight.yaml"
    assert found.env == {"PEDIGREE_ACTOR": "ci", "THREADS": "2"}
    assert (found.secrets, found.volumes) == ({"PGPASSWORD": "db/password"}, {"/mnt/models": "claim"})
    assert found.service == {"host": "https://kubeflow.example"}
    assert found.schedule == {"cron": "0 3 * * *"}


def test_output_has_a_name_that_the_service_takes(tmp_path: Path) -> None:
    for kind, name in (("kubeflow", "pipeline.yaml"), ("vertex", "pipeline.json")):
        assert load_target(written(tmp_path, f"target: {{kind: {kind}, image: a:1}}")).output == tmp_path / name


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("registry: x", "names no target"),
        ("target: {image: a}", "`target` lacks `kind`"),
        ("target: {kind: airflow, image: a}", "`target.kind` is 'airflow', but must be kubeflow or vertex"),
        ("target: {kind: vertex}", "`target` has no `image`"),
        ("target: {kind: vertex, image: {Trainer: a}}", "`target` has no `image`"),
        ("target: {kind: vertex, image: 7}", "`target.image` is 7, but must be a table"),
        ("target: {kind: vertex, image: a, projekt: p}", "`target.projekt` is not known. Did you mean `project`"),
        ("target: {kind: vertex, image: a, host: h}", "`target.host` is a setting of kubeflow; this target is vertex"),
        ("target: {kind: vertex, image: a, volumes: {}}", "`target.volumes` is a setting of kubeflow"),
        ("target: {kind: kubeflow, image: a, project: p}", "`target.project` is a setting of vertex"),
        ("target: kubeflow", "`target` must be names with values, not .kubeflow."),
        ("target: {kind: vertex, image: a, env: [A]}", "`target.env` is a list, but must be a table"),
        ("target: {kind: vertex, image: a, env: {A: [1]}}", "`target.env.A` is a list, but must be a text"),
        ("target: {kind: vertex, image: a, env: {A: true}}", "`target.env.A` is True, but must be a text"),
        ("target: {kind: kubeflow, image: a, secrets: {P: hunter2}}", "`target.secrets.P` must name a secret"),
        ("target: {kind: kubeflow, image: a, secrets: {P: [hunter2]}}", "`target.secrets.P` must name a secret"),
        ("target: {kind: kubeflow, image: a, secrets: hunter2}", "`target.secrets` must name a secret"),
        ("target: {kind: kubeflow, image: a, env: {P: x}, secrets: {P: s/k}}", "has P under `env` and under `sec"),
        ("target: {kind: kubeflow, image: a, volumes: {data: claim}}", "as /mnt/data: flights, but has data: claim"),
        ("target: {kind: kubeflow, image: a, volumes: {/data: My_Claim}}", "but has /data: My_Claim"),
        ("target: {kind: vertex, image: '${NOWHERE_SET}'}", "NOWHERE_SET} is not set"),
    ],
)
def test_target_that_is_wrong_says_where_and_what_would_be_right(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(InvalidInputError, match=says) as refused:
        load_target(written(tmp_path, text), {})
    assert "service.yaml" in str(refused.value)
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize("kind", list(SpecKind), ids=str)
def test_reference_configs_can_be_read(kind: SpecKind) -> None:
    names = ("PEDIGREE_IMAGE", "PEDIGREE_REGISTRY", "PEDIGREE_PROJECT", "PEDIGREE_HOST", "PEDIGREE_SERVICE_ACCOUNT")
    found = load_target(CONFIGS / f"{kind}.yaml", dict.fromkeys(names, "x"))
    assert found.kind is kind
    assert found.output.name == f"flight-delay{kind.suffix}"
