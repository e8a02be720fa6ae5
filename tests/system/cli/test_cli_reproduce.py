"""`pedigree reproduce`: what can still be had, what is run and where, and how far the same comes out again."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from cli_testing import MODELS, Pedigree
from reproduce_testing import Repeated, git

from server_testing import Switch
from tfx_pedigree.registry import Registry
from tfx_pedigree.service.pipelines import tfx_process
from tfx_pedigree.service.reproducing import running, workshop
from tfx_pedigree.versioning import capture_diff

NEAR = {"rows": 100, "largest": 1e-9, "differing": 0, "failed": 0}
APART = {"rows": 100, "largest": 0.25, "differing": 12, "failed": 0}


@pytest.fixture
def repeated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repeated:
    """1.0.0 of span 1 and 1.0.1 of span 2, by two commits; after them the code has gone on."""
    found = Repeated(tmp_path)
    monkeypatch.setattr(tfx_process, "start", found.start)
    monkeypatch.setattr(tfx_process, "check_tfx", lambda: None)
    monkeypatch.chdir(tmp_path)
    found.train(1)
    found.commit("keras_retrained", 0.85)
    found.train(2)
    found.commit("keras_wider", 0.9)
    found.orders.clear()
    return found


def levels(said: Any) -> dict[str, bool | None]:
    return {one["level"]: one["same"] for one in said["levels"]}


# What comes out again


def test_version_is_made_again_from_its_commit_its_span_and_its_settings(repeated: Repeated) -> None:
    said = repeated("m@1.0.1", "--json").json
    assert said["level"] == "bytes"
    assert levels(said) == dict.fromkeys(("bytes", "description", "predictions", "metrics", "verdict"), True)
    assert (said["inputs"], said["environment"], said["failure"]) == ([], "current", None)
    (order,) = repeated.orders
    place = repeated.folder / "reproduced-m-1.0.1"
    assert order["path"] == str(place / "code")
    assert order["settings"]["span"] == 2
    assert order["settings"]["root"] == str(place / "run/root")
    assert order["settings"]["data"] == str(repeated.code / "../data")
    assert order["settings"]["pedigree"]["policy"] == str(place / "code/policy.yaml")
    assert order["settings"]["pedigree"]["registry"] == str(place / "run/registry")
    assert order["settings"]["pedigree"]["store"] == str(place / "run/registry/store")
    assert order["cwd"] == str(place / "code")
    assert order["prepare"] is None


def test_champion_of_that_time_is_champion_in_the_registry_of_its_own(repeated: Repeated) -> None:
    repeated("m@1.0.1", "--no-record")
    own = repeated.folder / "reproduced-m-1.0.1/run/registry"
    found = repeated.pedigree("--registry", own, "versions", "m", "--json").json["items"]
    assert [(one["version"], one["state"]) for one in found] == [("1.0.1", "production"), ("1.0.0", "archived")]


def test_real_registry_gets_a_note_and_no_version(repeated: Repeated) -> None:
    before = repeated.pedigree("versions", "m", "--json").json
    said = repeated("m@1.0.1", "--json").json
    assert repeated.pedigree("versions", "m", "--json").json == before
    (event,) = [one for one in _history(repeated) if one["action"] == "reproduce"]
    assert (event["subject"], event["details"]["level"], event["position"]) == ("1.0.1", "bytes", said["noted"])
    assert "reproduce 1.0.1: bytes" in repeated.pedigree("history", "m@1.0.1").out
    assert repeated.pedigree("audit", "verify", "--json").json["ok"]


def test_registry_may_be_on_a_server(repeated: Repeated, switch: Switch) -> None:
    registry = Registry.open(repeated.folder / "registry", actor="server")
    with switch.registry(registry, str(repeated.folder / "registry")) as at:
        environ = {"PEDIGREE_TOKEN": "ada", "PEDIGREE_ACTOR": None}
        said = Pedigree(at)("reproduce", "m@1.0.1", "--json", **environ).json
    assert (said["level"], said["inputs"]) == ("bytes", [])
    (event,) = [one for one in _history(repeated) if one["action"] == "reproduce"]
    assert (event["actor"], event["position"]) == ("ada", said["noted"])


def test_without_a_record_there_is_no_note(repeated: Repeated) -> None:
    assert repeated("m@1.0.1", "--no-record", "--json").json["noted"] is None
    assert "reproduce" not in {one["action"] for one in _history(repeated)}


def _history(repeated: Repeated) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = repeated.pedigree("history", "m", "--limit", 100, "--json").json["items"]
    return found


LEVELS: list[tuple[dict[str, Any], str]] = [
    ({"model": "keras_retrained", "predictions": NEAR}, "description"),
    ({"model": "keras_wider", "predictions": NEAR}, "predictions"),
    ({"model": "keras_retrained", "predictions": APART}, "metrics"),
    ({"model": "keras_retrained"}, "metrics"),
    ({"model": "keras_retrained", "predictions": {**NEAR, "failed": 3}}, "metrics"),
    ({"model": "keras_wider", "predictions": NEAR, "evaluated": f"sha256:{5:064x}"}, "metrics"),
    ({"model": "keras_wider", "predictions": APART, "auc": 0.7}, "verdict"),
    ({"model": "keras_wider", "predictions": APART, "auc": 0.7, "verdict": "FAIL"}, "none"),
]


def test_highest_level_is_told_and_the_exit_code_says_whether_it_is_enough(repeated: Repeated) -> None:
    for number, (behave, level) in enumerate(LEVELS):
        repeated.behave = behave
        enough = level in ("description", "predictions")
        said = repeated("m@1.0.0", "--into", f"made-{number}", "--json", code=0 if enough else 1).json
        assert said["level"] == level, behave
        assert re.match(r"Of \d files?, these differ: .*variables/", said["levels"][0]["detail"])


def test_run_that_makes_the_champion_of_that_time_makes_no_version(repeated: Repeated) -> None:
    repeated.behave = {"model": "keras"}
    assert "made no version" in repeated("m@1.0.1", code=1).out


def test_what_must_come_out_is_asked_for(repeated: Repeated) -> None:
    repeated.behave = {"model": "keras_wider", "predictions": APART}
    repeated("m@1.0.1", "--level", "metrics")
    said = repeated("m@1.0.1", "--level", "predictions", code=1)
    assert "the same metrics came out again, with other predictions" in said.out
    assert "The predictions differ on 12 of 100 rows, by 0.25 at the most." in " ".join(said.out.split())


def test_inputs_that_were_not_the_same_are_named(repeated: Repeated) -> None:
    repeated.behave = {"seed": 8}
    assert repeated("m@1.0.1", "--json").json["inputs"] == ["Parameters differ: parameters.seed."]


def test_page_shows_what_the_commands_say(repeated: Repeated) -> None:
    page = (Path(__file__).parents[3] / "docs" / "reproduce.md").read_text()
    blocks = re.findall(r"^```console\n\$ pedigree reproduce ([^\n]+)\n(.*?)^```$", page, re.S | re.M)
    assert len(blocks) == 2
    for words, shown in blocks:
        assert repeated(*words.split()).out == shown


# What cannot be had any more


def test_everything_missing_is_in_one_answer_with_its_next_step(repeated: Repeated) -> None:
    shutil.rmtree(repeated.folder / "data/span-2")
    shutil.rmtree(repeated.code / ".git")
    said = repeated("m@1.0.1", "--check", "--json", code=1).json
    assert not said["possible"]
    assert [one["kind"] for one in said["missing"]] == ["code", "data"]
    assert "span-2/rows.csv of span 2 is gone" in said["missing"][1]["problem"]
    assert all(one["step"] for one in said["missing"])
    refused = repeated("m@1.0.1", code=4).err
    assert "cannot be made again" in refused
    assert "--repository FOLDER" in refused
    assert "--set" in refused
    assert not (repeated.folder / "reproduced-m-1.0.1").exists()
    assert repeated.orders == []


def test_check_builds_nothing(repeated: Repeated) -> None:
    before = sorted(repeated.folder.rglob("*"))
    said = repeated("m@1.0.1", "--check")
    assert said.out.startswith("m 1.0.1 can be made again, in the environment here.")
    assert sorted(repeated.folder.rglob("*")) == before


def test_changed_data_are_named_by_span_and_file(repeated: Repeated) -> None:
    (repeated.folder / "data/span-2/rows.csv").write_text("rows of 3")
    said = repeated("m@1.0.1", "--check", code=1).out
    assert "span-2/rows.csv of span 2 is not what it was then" in said


def test_data_and_repository_may_have_moved(repeated: Repeated) -> None:
    shutil.move(repeated.folder / "data", repeated.folder / "elsewhere")
    shutil.move(repeated.code, repeated.folder / "clone")
    repeated("m@1.0.1", "--check", code=1)
    moved = ("--set", f"data={repeated.folder}/elsewhere", "--repository", repeated.folder / "clone")
    assert repeated("m@1.0.1", "--check", *moved, "--json").json["missing"] == []
    assert repeated("m@1.0.1", *moved, "--json").json["level"] == "bytes"


def test_uncommitted_changes_are_said_and_refused(repeated: Repeated) -> None:
    (repeated.code / "mine.py").write_text("changed = True")
    repeated.train(1)
    said = repeated("m@latest", "--check", code=1).out
    assert "uncommitted changes" in said
    assert "were not kept" in said


def test_uncommitted_changes_that_were_kept_are_made_again(repeated: Repeated) -> None:
    (repeated.code / "model.json").write_text('{"model": "keras_retrained", "auc": 0.9}')
    (repeated.code / "new").mkdir()
    (repeated.code / "new/part.py").write_text("x = 1")
    repeated.behave = {"keep": lambda code: capture_diff(code).to_json()}
    repeated.train(2)
    repeated.behave = {}
    repeated.commit("keras_wider", 0.9)
    said = repeated("m@1.0.1", "--json").json
    assert (said["level"], said["inputs"]) == ("bytes", [])


def test_commit_that_the_repository_does_not_have_is_named(repeated: Repeated) -> None:
    shutil.rmtree(repeated.code / ".git")
    git(repeated.code, "init", "--quiet")
    said = repeated("m@1.0.1", "--check", code=1).out
    assert "does not have the commit" in said


def test_lost_files_of_the_version_are_named(repeated: Repeated) -> None:
    shutil.rmtree(repeated.folder / "registry/store/manifests")
    said = repeated("m@1.0.1", "--check", "--json", code=1).json
    assert [one["kind"] for one in said["missing"]] == ["bytes", "bytes"]


def test_version_whose_run_left_no_recipe_needs_a_config(repeated: Repeated) -> None:
    repeated.behave = {"silent": True}
    repeated.train(1)
    repeated.behave = {}
    assert "left no recipe" in repeated("m@latest", "--check", code=1).out
    repeated("--config", repeated.code / "local.yaml", "m@latest", "--check")


def test_version_without_lineage_says_what_is_missing(repeated: Repeated) -> None:
    repeated.pedigree("register", "other", MODELS / "keras")
    said = repeated("other@1.0.0", "--check", "--json", code=1).json
    assert [one["kind"] for one in said["missing"]] == ["recipe", "code"]


# Packages


def test_other_packages_mean_an_environment_of_its_own(repeated: Repeated, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", "")
    monkeypatch.setenv("PIP_FIND_LINKS", str(repeated.folder / "no-such-folder"))
    repeated.behave = {"environment": {"packages": {"click": "1.0"}, "python": "3.1.4"}}
    repeated.train(1)
    said = repeated("m@latest", "--check", "--json", code=1).json
    assert said["environment"] == "built"
    assert "There is no Python 3.1 here" in said["missing"][0]["problem"]
    assert "1 package can still be had is not known" in said["unknown"][0]
    assert "click 1.0 then" in said["notes"][0]


def test_record_that_is_no_package_is_refused(repeated: Repeated) -> None:
    for name in ("click; rm -rf ~", "--index-url", "../click", "click @ file:///x"):
        repeated.behave = {"environment": {"packages": {name: "1.0"}}, "auc": 0.9, "seed": len(name)}
        repeated.train(1)
        said = repeated("m@latest", "--check", "--json", code=1).json
        assert any("is no package" in one["problem"] for one in said["missing"]), name


def test_only_listed_variables_are_set_for_the_run(repeated: Repeated, monkeypatch: pytest.MonkeyPatch) -> None:
    """And none that names the real registry, whose bytes and metadata are nobody's business there."""
    told = {"PYTHONHASHSEED": "3", "LD_PRELOAD": "/tmp/evil.so", "PYTHONPATH": "/tmp"}
    repeated.behave = {"environment": {"variables": told}}
    repeated.train(1)
    monkeypatch.setenv("OMP_NUM_THREADS", "77")
    monkeypatch.delenv("LD_PRELOAD", raising=False)
    monkeypatch.setenv("PEDIGREE_MLMD", "mysql://mlmd.example.com/m")
    repeated.orders.clear()
    repeated("m@latest", "--no-record")
    environ = repeated.orders[0]["env"]
    assert environ["PYTHONHASHSEED"] == "3"
    assert "OMP_NUM_THREADS" not in environ
    assert not {"LD_PRELOAD", "PEDIGREE_MLMD", "PEDIGREE_REGISTRY", "PEDIGREE_ACTOR"} & environ.keys()
    assert environ.get("PYTHONPATH") != "/tmp"


# Its folder


def test_run_that_fails_says_where_its_log_is_and_the_next_call_goes_on(repeated: Repeated) -> None:
    repeated.behave = {"fails": True}
    said = repeated("m@1.0.1", code=1).out
    assert "was not made again: The pipeline ended with exit code 1." in said
    assert "run/run.log" in said
    assert "reproduce" not in {one["action"] for one in _history(repeated)}
    repeated.behave = {}
    assert repeated("m@1.0.1", "--json").json["level"] == "bytes"


def test_one_that_was_stopped_goes_on_and_repeats_no_whole_part(repeated: Repeated) -> None:
    repeated.behave = {"dies": True}
    repeated("m@1.0.1", code=130)
    place = repeated.folder / "reproduced-m-1.0.1"
    assert (place / "code.done").exists()
    assert not (place / "run.done").exists()
    (place / "run/registry/store").mkdir(parents=True, exist_ok=True)
    (place / "code/left").write_text("from the first call")
    repeated.behave = {}
    assert repeated("m@1.0.1", "--json").json["level"] == "bytes"
    assert (place / "code/left").exists()
    repeated.orders.clear()
    repeated("m@1.0.1")
    assert repeated.orders == [], "the run was whole already"


@pytest.mark.parametrize("killed_at", range(7))
def test_killed_at_any_write_it_leaves_only_its_folder_and_the_next_call_comes_to_the_end(
    repeated: Repeated, monkeypatch: pytest.MonkeyPatch, killed_at: int
) -> None:
    """Marks are written before and after each part, and a part may be there by half."""
    writes, write, check_out = iter(range(100)), workshop._write, running.check_out
    before = {path for path in repeated.folder.rglob("*") if path.is_file()}

    def dying(file: Path, text: str) -> None:
        if next(writes) == killed_at:
            raise KeyboardInterrupt
        write(file, text)
        if next(writes) == killed_at:
            raise KeyboardInterrupt

    def by_half(repository: Path, commit: str, folder: Path) -> None:
        folder.mkdir()
        (folder / "half").write_text("")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        if killed_at == 6:
            patch.setattr(running, "check_out", by_half)
        else:
            patch.setattr(workshop, "_write", dying)
        repeated("m@1.0.1", code=130)
    left = {path for path in repeated.folder.rglob("*") if path.is_file()} - before
    place = repeated.folder / "reproduced-m-1.0.1"
    assert all(path.is_relative_to(place) or path.is_relative_to(repeated.folder / "registry") for path in left)
    assert "reproduce" not in {one["action"] for one in _history(repeated)}
    assert check_out is running.check_out
    assert repeated("m@1.0.1", "--json").json["level"] == "bytes"
    assert not (place / "code/half").exists()


def test_folder_of_something_else_is_not_touched(repeated: Repeated) -> None:
    mine = repeated.folder / "mine"
    mine.mkdir()
    (mine / "thesis.txt").write_text("x")
    (repeated.folder / "again").mkdir()
    (repeated.folder / "again/.reproduction.json.123").write_text("of a call that died")
    assert "is no reproduction" in repeated("m@1.0.1", "--into", mine, code=4).err
    assert [one.name for one in mine.iterdir()] == ["thesis.txt"]
    repeated("m@1.0.1", "--into", "again")
    assert "of something else" in repeated("m@1.0.0", "--into", "again", code=4).err


def test_nothing_is_left_in_the_repository(repeated: Repeated) -> None:
    before = {path: path.stat().st_mtime_ns for path in sorted((repeated.code / ".git").rglob("*")) if path.is_file()}
    repeated("m@1.0.1")
    after = {path: path.stat().st_mtime_ns for path in sorted((repeated.code / ".git").rglob("*")) if path.is_file()}
    assert after == before


def test_who_may_not_note_it_is_told_before_anything_is_built(repeated: Repeated) -> None:
    refused = repeated.pedigree("reproduce", "m@1.0.1", actor="mia", code=6).err
    assert "contributor" in refused
    assert repeated.orders == []
    assert repeated.pedigree("reproduce", "m@1.0.1", "--no-record", "--json", actor="mia").json["level"] == "bytes"


def test_setting_must_be_name_and_value(repeated: Repeated) -> None:
    for word in ("data", "=x", "a b=c"):
        assert "must be NAME=VALUE" in repeated("m@1.0.1", "--set", word, code=2).err
