"""`pedigree pipeline compile`: what it writes, what it says, and when it writes nothing. No TFX is loaded here."""

from __future__ import annotations

import importlib.util
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cli_testing import Pedigree, Said

from tfx_pedigree.extras import install_command
from tfx_pedigree.orchestration.ir import load_ir

SMALL = Path(__file__).parents[1] / "orchestration" / "goldens" / "small.json"
CONFIG = """\
registry: registry
pipeline:
  create: mine.pipeline:create
  log: logs/compile.log
  settings: {name: small, pedigree: {store: "gs://bucket/store"}}
target:
  kind: kubeflow
  image: registry.example/small:1
  output: out/small.yaml
"""


@pytest.fixture
def orders(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What the other process would be told; it answers with what TFX made of the small pipeline once."""
    told: list[Any] = []

    def start(module: str, order: dict[str, Any], **_: Any) -> subprocess.CompletedProcess[str]:
        told.append(order)
        if order["settings"].get("span") == 13:
            return subprocess.CompletedProcess(module, 1, stderr="Error: There is no span 13.\n")
        if order["settings"].get("span") == 14:
            return subprocess.CompletedProcess(module, -9, stderr="")
        Path(order["result"]).write_bytes(SMALL.read_bytes())
        return subprocess.CompletedProcess(module, 0, stderr="")

    monkeypatch.setattr("tfx_pedigree.service.pipelines.tfx_process.start", start)
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: object())
    return told


@pytest.fixture
def compile_(tmp_path: Path, orders: list[Any]) -> Callable[..., Said]:
    def run(*words: str, code: int = 0, env: str = "PEDIGREE_ACTOR: ci", settings: str = "") -> Said:
        config = CONFIG.replace("{name: small, pedigree", f"{{{settings or 'name: small, pedigree'}")
        (tmp_path / "kubeflow.yaml").write_text(f"{config}  env: {{{env}}}\n")
        pedigree = Pedigree(tmp_path / "elsewhere")
        return pedigree("--config", tmp_path / "kubeflow.yaml", "pipeline", "compile", *words, code=code)

    return run


def test_pipeline_is_written_where_the_config_says(compile_: Callable[..., Said], tmp_path: Path) -> None:
    said = compile_()
    compiled = load_ir(tmp_path / "out" / "small.yaml")
    assert said.out.startswith("Compiled small for kubeflow: 6 tasks, sha256:")
    assert compiled.digest[:17] in said.out
    assert "Corrected. Use: the parameter `number` comes from Make, not from Make_task." in said.err
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["small.yaml"], "no draft is left"


def test_json_says_all_that_scripts_need(compile_: Callable[..., Said], tmp_path: Path) -> None:
    told = compile_("--json", "--output", str(tmp_path / "other.yaml")).json
    compiled = load_ir(tmp_path / "other.yaml")
    assert told["digest"] == compiled.digest
    assert told["tasks"] == sorted(compiled.tasks)
    assert (told["kind"], told["name"], told["root"]) == ("kubeflow", "small", "gs://bucket/small")
    assert told["file"] == str(tmp_path / "other.yaml")
    assert {"name": "rows", "type": "NUMBER_INTEGER", "default": 7, "optional": True} in told["parameters"]
    assert (len(told["mended"]), told["findings"]) == (5, [])


def test_pipeline_gets_what_the_config_names_and_nothing_of_this_machine(
    compile_: Callable[..., Said], orders: list[Any], tmp_path: Path
) -> None:
    """Registry and actor of the environment are this machine's."""
    compile_("--span", "3")
    (order,) = orders
    assert order["settings"]["pedigree"] == {"registry": str(tmp_path / "registry"), "store": "gs://bucket/store"}
    assert order["settings"]["span"] == 3
    assert order["images"] == {"default": "registry.example/small:1"}


def test_with_errors_nothing_is_written_unless_it_is_forced(compile_: Callable[..., Said], tmp_path: Path) -> None:
    file = tmp_path / "out" / "small.yaml"
    bad = {"env": "DB_PASSWORD: hunter2"}
    said = compile_(code=1, **bad)
    assert (
        "error: Look, Make, Take, TakeAgain and Use: the environment's DB_PASSWORD holds what is called a" in said.out
    )
    assert "It was not written." in said.out
    assert "--force" in said.err
    assert "hunter2" not in said.out + said.err
    assert not file.exists()
    assert compile_("--json", code=1, **bad).json["file"] is None
    assert str(file) in compile_("--force", code=1, **bad).out
    assert file.exists()


def test_what_is_wrong_in_several_tasks_alike_is_said_once_with_their_names(compile_: Callable[..., Said]) -> None:
    bad = {"env": "DB_PASSWORD: hunter2"}
    assert compile_(code=1, **bad).out.count("everybody who sees the pipeline can read it") == 1
    findings = compile_("--json", code=1, **bad).json["findings"]
    assert [one["task"] for one in findings] == ["Look", "Make", "Take", "TakeAgain", "Use"]


def test_what_the_compiler_refuses_is_one_line(compile_: Callable[..., Said], tmp_path: Path) -> None:
    said = compile_("--span", "13", "--json", code=2)
    message = said.error["message"]
    assert message == f"There is no span 13. The full log is in {tmp_path}/logs/compile.log."
    assert (
        "The compiler was ended by SIGKILL, as when memory runs out. The full log"
        in compile_("--span", "14", code=2).err
    )


def test_without_a_config_or_without_tfx_it_says_what_to_do(
    compile_: Callable[..., Said], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, orders: list[Any]
) -> None:
    monkeypatch.chdir(tmp_path)
    said = Pedigree(tmp_path)("pipeline", "compile", code=2)
    assert "pedigree --config configs/kubeflow.yaml pipeline compile" in said.err
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    assert install_command("tfx", "kubeflow") in compile_(code=8).err
    assert orders == []


def test_place_that_cannot_be_written_is_said(compile_: Callable[..., Said], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert "Give another one with --output." in compile_("--output", str(tmp_path / "file" / "x.yaml"), code=2).err


def test_draft_of_somebody_who_compiles_at_the_same_moment_is_left_alone(
    compile_: Callable[..., Said], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever is quicker, each writes a whole file."""
    drafts: list[Path] = []
    replace = Path.replace

    def meanwhile(draft: Path, target: Path) -> Path:
        drafts.append(draft)
        if len(drafts) == 1:
            compile_()
        return replace(draft, target)

    monkeypatch.setattr(Path, "replace", meanwhile)
    compile_()
    assert len(set(drafts)) == 2
    assert load_ir(tmp_path / "out" / "small.yaml").name == "small"
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["small.yaml"]


def test_link_is_written_through_and_a_folder_is_not_replaced(compile_: Callable[..., Said], tmp_path: Path) -> None:
    (tmp_path / "real.yaml").write_text("old")
    (tmp_path / "link.yaml").symlink_to("real.yaml")
    compile_("--output", str(tmp_path / "link.yaml"))
    assert (tmp_path / "link.yaml").is_symlink()
    assert load_ir(tmp_path / "real.yaml").name == "small"

    (tmp_path / "folder").mkdir()
    before = sorted(tmp_path.iterdir())
    assert "not a file that can be replaced" in compile_("--output", str(tmp_path / "folder"), code=2).err
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ("since: 2013-01-01, pedigree", "kubeflow.yaml: a value under `pipeline.settings` is a date"),
        ("pedigree: yes, other", "kubeflow.yaml: `pipeline.settings.pedigree` must be names with values"),
    ],
)
def test_settings_that_cannot_be_handed_on_are_a_mistake_of_the_config(
    settings: str, says: str, compile_: Callable[..., Said]
) -> None:
    assert says in compile_("--json", settings=settings, code=2).error["message"]


def test_log_that_cannot_be_written_is_said_before_anything_is_compiled(
    compile_: Callable[..., Said], tmp_path: Path, orders: list[Any]
) -> None:
    (tmp_path / "logs").write_text("no folder")
    assert "another `pipeline.log`" in compile_("--json", code=8).error["message"]
    assert orders == []
