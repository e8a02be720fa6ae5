"""What TensorFlow Serving reads names just the versions that were asked for, and leaves other models alone."""

from __future__ import annotations

import json
import shutil
import signal
from pathlib import Path

import pytest
from cli_testing import MODELS, Pedigree

from forking_testing import forking
from tfx_pedigree.errors import InvalidInputError
from tfx_pedigree.integrations import WARM_UP_FILE, warmup_records
from tfx_pedigree.integrations.trackers.framing import tfrecords
from tfx_pedigree.rollout.traffic.serving_config import ModelEntry, with_entry
from tfx_pedigree.versioning import ModelDescription, describe
from tfx_pedigree.versioning.description import Signature, TensorSpec

ROW = [0.1, 0.2, 0.3]


@pytest.fixture
def pedigree(tmp_path: Path) -> Pedigree:
    """m has a champion 1.0.0 and a canary 1.1.0."""
    found = Pedigree(tmp_path / "registry")
    found("init")
    for name in ("keras", "keras_wider"):
        found("register", "m", MODELS / name)
    found("promote", "m@1.0.0")
    found("alias", "set", "canary", "m@1.1.0")
    return found


def test_champion_is_stable_and_aliases_are_labels(pedigree: Pedigree) -> None:
    text = pedigree("serving-config", "m@champion", "m@canary", "--folder", "/srv").out
    assert text == (
        'model_config_list {\n  config {\n    name: "m"\n    base_path: "/srv/m"\n    model_platform: "tensorflow"\n'
        "    model_version_policy { specific { versions: 1 versions: 2 } }\n"
        '    version_labels { key: "canary" value: 2 }\n    version_labels { key: "stable" value: 1 }\n  }\n}\n'
    )
    assert '"canary"' not in pedigree("serving-config", "m@champion").out
    own = pedigree("serving-config", "m@champion", "m@canary", "--label", "next=m@1.1.0", "--json").json
    assert own["models"] == [{"model": "m", "folder": "/models/m", "versions": [1, 2], "labels": {"next": 2}}]


def test_file_keeps_other_models_and_is_written_once(pedigree: Pedigree, tmp_path: Path) -> None:
    file = tmp_path / "models.config"
    file.write_text(with_entry("", ModelEntry("other", "/models/other", (7,), {}), "other"))
    words = ("serving-config", "m@champion", "--output", file, "--json")
    assert pedigree(*words).json["changed"] is True
    text = file.read_text()
    assert 'name: "other"' in text
    assert 'name: "m"' in text
    assert pedigree(*words).json["changed"] is False
    assert file.read_text() == text
    file.write_text("model_config_list { } something_else { }")
    assert "can be kept" in pedigree(*words, code=4).err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("m@champion", "--label", "next=m@1.1.0"), "not among the versions"),
        (("m@champion", "--label", "=m@1.1.0"), "not a label"),
        (("m@champion", "--folder", "models"), "no absolute path"),
        (("m@champion", "--folder", "/a\nb"), "no absolute path"),
        (("m@champion", "--requests", "none.jsonl"), "no file none.jsonl"),
    ],
)
def test_what_a_server_could_not_load_is_refused(pedigree: Pedigree, words: tuple[str, ...], told: str) -> None:
    code = 3 if "none.jsonl" in words else 2
    assert told in pedigree("serving-config", *words, code=code).err


def test_quotes_and_letters_of_any_kind_stay_within_their_text() -> None:
    text = ModelEntry('m"x\\', "/é\n", (1,), {"a}": 1}).text()
    assert '    name: "m\\"x\\\\"\n    base_path: "/\\303\\251\\012"\n' in text


# Warm-up


def test_requests_lie_beside_the_model_and_are_the_same_each_time(pedigree: Pedigree, tmp_path: Path) -> None:
    requests = tmp_path / "requests.jsonl"
    requests.write_text(f"{json.dumps({'instances': [ROW, ROW]})}\n\n{json.dumps({'inputs': {'features': [ROW]}})}\n")
    words = ("serving-config", "m@champion", "--requests", requests, "--laid-out", tmp_path / "models")
    assert "pedigree pull m@1.0.0" in pedigree(*words, code=3).err
    pedigree("pull", "m@1.0.0", tmp_path / "models" / "m" / "1")
    pedigree(*words)
    file = tmp_path / "models" / "m" / "1" / WARM_UP_FILE
    written = file.read_bytes()
    assert len(list(tfrecords(file))) == 2
    for record in tfrecords(file):
        record.check()
    pedigree(*words)
    assert file.read_bytes() == written


@pytest.mark.parametrize(
    ("request_", "told"),
    [
        ([1], "a request is an object"),
        ({"rows": []}, "is none of"),
        ({"instances": [ROW], "inputs": [ROW]}, "not both"),
        ({"instances": []}, "one row or more"),
        ({"instances": [[1, 2]]}, r"its shape is \[1, 2\], but the input takes float32 \[\?, 3\]"),
        ({"instances": [ROW, [1, 2]]}, "not all of one length"),
        ({"instances": [ROW, 5]}, "not all of one length"),
        ({"instances": [[1, 2, [3]]]}, "not all of one length"),
        ({"instances": [[1, 2, "x"]]}, "'x' is no float32"),
        ({"instances": [[1, 2, True]]}, "True is no float32"),
        ({"instances": [[1, 2, 1e300]]}, "beyond what a float32 holds"),
        ({"instances": [{"other": ROW}]}, "lacks the input features"),
        ({"instances": [{"features": ROW, "other": 1}]}, "has an input other that is none"),
        ({"instances": [{"features": ROW}, {"x": 1}]}, "do not all have the same inputs"),
        ({"signature_name": "\x1b", "instances": [ROW]}, "has no signature"),
        ({"signature_name": [], "instances": [ROW]}, "has no signature"),
    ],
)
def test_request_that_the_version_could_not_answer_is_refused_with_its_line(request_: object, told: str) -> None:
    description = describe(MODELS / "keras")
    with pytest.raises(InvalidInputError, match=told) as refusal:
        warmup_records(f"\n{json.dumps(request_)}", "m", description)
    assert "Line 2 of the requests" in str(refusal.value)


def test_more_requests_than_a_server_plays_are_refused() -> None:
    description = describe(MODELS / "keras")
    line = json.dumps({"instances": [ROW]}) + "\n"
    assert warmup_records(line * 1000, "m", description)
    with pytest.raises(InvalidInputError, match="more than 1,000 requests"):
        warmup_records(line * 1001, "m", description)
    with pytest.raises(InvalidInputError, match="no requests"):
        warmup_records("\n", "m", description)


def test_inputs_that_json_cannot_hold_are_refused() -> None:
    for spec in (TensorSpec("float32", (None,), "sparse"), TensorSpec("complex64", (None,))):
        description = ModelDescription(signatures={"serving_default": Signature({"x": spec}, {})})
        with pytest.raises(InvalidInputError, match="cannot be given as JSON"):
            warmup_records('{"instances": [1.0]}', "m", description)


def test_nothing_is_written_unless_each_version_is_there(pedigree: Pedigree, tmp_path: Path) -> None:
    (tmp_path / "requests.jsonl").write_text(json.dumps({"instances": [ROW]}))
    folder = tmp_path / "models"
    pedigree("pull", "m@2", folder / "m" / "2")
    words = ("serving-config", "m@2", "m@1", "--laid-out", folder, "--requests", tmp_path / "requests.jsonl")
    assert f"m 1.0.0 is not in {folder}/m/1. Put it there first" in pedigree(*words, code=3).err
    assert not (folder / "m" / "2" / WARM_UP_FILE).exists()
    pedigree("pull", "m@1", folder / "m" / "1")
    pedigree(*words)
    assert all((folder / "m" / number / WARM_UP_FILE).is_file() for number in ("1", "2"))


@pytest.mark.system
def test_killed_at_any_write_the_files_are_whole_and_no_version_is_named_before_it_is_warmed_up(
    pedigree: Pedigree, tmp_path: Path
) -> None:
    (tmp_path / "requests.jsonl").write_text(json.dumps({"instances": [ROW]}))
    pedigree("pull", "m@2", tmp_path / "ready" / "m" / "2")
    before = with_entry("", ModelEntry("other", "/models/other", (7,), {}), "other")
    (tmp_path / "ready" / "models.config").write_text(before)

    def files_in(folder: Path) -> tuple[str, bytes]:
        warmed = folder / "m" / "2" / WARM_UP_FILE
        return (folder / "models.config").read_text(), warmed.read_bytes() if warmed.exists() else b""

    def ready(name: str) -> tuple[Path, list[str]]:
        folder = Path(shutil.copytree(tmp_path / "ready", tmp_path / name))
        words = ("m@2", "--output", folder / "models.config", "--laid-out", folder)
        return folder, [str(word) for word in (*words, "--requests", tmp_path / "requests.jsonl")]

    folder, words = ready("whole")
    pedigree("serving-config", *words)
    whole = files_in(folder)
    with forking("serving_config_child") as call:
        for point in range(1, 100):
            folder, words = ready(f"point{point}")
            ended = call("killed_at", point, str(pedigree.registry), words)
            assert files_in(folder) in ((before, b""), (before, whole[1]), whole), point
            pedigree("serving-config", *words)
            assert files_in(folder) == whole, point
            if ended.code == 0:
                break
            assert ended.code == -signal.SIGKILL, ended.err
        assert point - 1 == int(ended.out) >= 12
