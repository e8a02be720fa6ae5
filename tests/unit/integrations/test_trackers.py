"""What a run says comes into a version, whatever stands in its files; and the run learns which version came of it."""

from __future__ import annotations

import shutil
import struct
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from cli_testing import MODELS, Pedigree
from tracker_testing import ID, KERAS, WANDB, WRITER, MlflowServer, mlflow_server

from server_testing import running
from tfx_pedigree.errors import DamagedError, InvalidInputError, NotFoundError, PedigreeError
from tfx_pedigree.integrations.trackers.event_files import read_logdir
from tfx_pedigree.integrations.trackers.framing import LARGEST_RECORD, leveldb_records, tfrecords
from tfx_pedigree.integrations.trackers.wandb_folder import read_folder
from tfx_pedigree.registry import Registry
from tfx_pedigree.service.versions import tracked_run
from tfx_pedigree.service.versions.tracked_run import Dataset, TrackedRun
from tfx_pedigree.versioning.tfrecord import framed, masked_crc
from tfx_pedigree.versioning.wire_writing import double, number, run, single

HPARAMS = {"learning_rate": 0.01, "optimizer": "adam", "shuffle": True, "units": 32}


@pytest.fixture
def mlflow(monkeypatch: pytest.MonkeyPatch) -> Iterator[MlflowServer]:
    monkeypatch.setenv("PEDIGREE_PATIENCE", "0")
    for name in ("TOKEN", "USERNAME", "PASSWORD"):
        monkeypatch.delenv(f"MLFLOW_TRACKING_{name}", raising=False)
    with mlflow_server() as server:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", server.url)
        yield server


@pytest.fixture
def pedigree(tmp_path: Path) -> Pedigree:
    found = Pedigree(tmp_path / "registry")
    found("init")
    return found


# Files of TensorBoard


def test_run_of_keras_gives_its_hyperparameters_and_the_last_value_of_each_scalar() -> None:
    found = read_logdir(KERAS)
    assert dict(found.parameters) == HPARAMS
    assert found.metrics["best/auc"] == 0.8125
    assert found.metrics["validation/epoch_accuracy"] == 0.578125
    assert {"train/epoch_loss", "validation/epoch_loss"} <= set(found.metrics)
    assert not [name for name in found.metrics if "picture" in name or "histogram" in name or "keras" in name]
    assert (found.tracker, found.id, found.address) == ("tensorboard", "keras", str(KERAS))


def test_run_of_a_summary_writer_gives_the_same_from_the_older_form() -> None:
    found = read_logdir(WRITER)
    assert dict(found.parameters) == HPARAMS
    assert dict(found.metrics) == {"loss": pytest.approx(1 / 3), "session/hparam/auc": pytest.approx(0.8)}


def test_value_of_the_highest_step_counts_and_of_two_the_later_one(tmp_path: Path) -> None:
    steps = [(1, 0.5), (3, 0.25), (2, 0.125), (3, 0.75)]
    rows = [number(2, step) + run(5, run(1, run(1, "auc") + single(2, value))) for step, value in steps]
    (tmp_path / "events.out.tfevents.1.x").write_bytes(b"".join(framed(double(1, 1.0) + row) for row in rows))
    assert dict(read_logdir(tmp_path).metrics) == {"auc": 0.75}


def test_folder_of_several_runs_is_refused_with_the_name_of_one(tmp_path: Path) -> None:
    for name in ("one", "two"):
        shutil.copytree(KERAS, tmp_path / name)
    with pytest.raises(InvalidInputError, match=f"tensorboard:{tmp_path}/one"):
        read_logdir(tmp_path)
    assert dict(read_logdir(tmp_path / "two").parameters) == HPARAMS


# Files of Weights & Biases


def test_run_of_wandb_gives_config_summary_and_datasets() -> None:
    found = read_folder(WANDB)
    assert {name: found.parameters[name] for name in HPARAMS} == HPARAMS
    assert found.parameters["nested.dropout"] == 0.5
    assert found.parameters["layers"] == "[64, 32]"
    assert str(found.parameters["note"]).startswith("sha256:")  # 40,000 letters, over two blocks of the file
    assert dict(found.metrics) == {"best_auc": 0.81, "loss": 0.2, "val.auc": pytest.approx(0.78)}
    assert found.datasets == (Dataset("flights-2026-11", "4b8990be34307fc47fe4107c0adf99ec", "dataset"),)
    assert read_folder(next(WANDB.glob("*.wandb"))) == found


def test_what_is_no_folder_of_a_run_is_refused_with_what_to_name(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="holds no file run-"):
        read_folder(tmp_path)
    (tmp_path / "run-a.wandb").write_bytes(b"something else")
    with pytest.raises(InvalidInputError, match="does not begin as a log"):
        read_folder(tmp_path)


# Hostile files

FILES: list[tuple[Path, Callable[[Path], TrackedRun]]] = [
    (next(KERAS.glob("validation/*")), read_logdir),
    (next(WRITER.glob("session/*")), read_logdir),
    (next(WANDB.glob("*.wandb")), read_folder),
]


@pytest.mark.parametrize(("file", "read"), FILES, ids=["keras", "writer", "wandb"])
def test_file_that_ends_anywhere_gives_what_is_whole_before(
    file: Path, read: Callable[[Path], TrackedRun], tmp_path: Path
) -> None:
    data, copy = file.read_bytes(), tmp_path / file.name
    whole = dict(read(file.parent).metrics)
    counts = []
    for end in sorted({*range(0, len(data), max(1, len(data) // 150)), len(data) - 1, len(data)}):
        copy.write_bytes(data[:end])
        try:
            counts.append(len(read(tmp_path).metrics))
        except InvalidInputError:
            assert end < 8, "only a file without its head is refused"
    assert counts == sorted(counts)
    assert dict(read(tmp_path).metrics) == whole


@pytest.mark.parametrize(("file", "read"), FILES, ids=["keras", "writer", "wandb"])
def test_changed_byte_gives_the_same_run_or_a_refusal(
    file: Path, read: Callable[[Path], TrackedRun], tmp_path: Path
) -> None:
    data, copy = file.read_bytes(), tmp_path / file.name
    copy.write_bytes(data)
    whole = read(tmp_path)
    refused = 0
    for at in range(0, len(data), max(1, len(data) // 250)):
        copy.write_bytes(data[:at] + bytes([data[at] ^ 0x81]) + data[at + 1 :])
        try:
            found = read(tmp_path)
        except PedigreeError:
            refused += 1
        else:
            # A length that points behind the end looks like a file that is still written.
            assert set(found.metrics.items()) <= set(whole.metrics.items())
    assert refused > 20


def test_sums_are_those_of_the_formats() -> None:
    assert masked_crc(b"123456789") == ((0xE3069283 >> 15 | 0xE3069283 << 17) + 0xA282EAD8) & 0xFFFFFFFF


def test_record_that_is_too_large_is_passed_over_in_tensorboard_and_refused_in_wandb(tmp_path: Path) -> None:
    small = number(2, 1) + run(5, run(1, run(1, "auc") + single(2, 0.5)))
    events = tmp_path / "events.out.tfevents.1.x"
    head = struct.pack("<Q", LARGEST_RECORD + 1)
    large = head + struct.pack("<I", masked_crc(head)) + b"\0" * (LARGEST_RECORD + 1 + 4)
    events.write_bytes(large + framed(small))
    assert [record.data for record in tfrecords(events)] == [small]

    part = b"\0" * (32768 - 7)
    chunk = [struct.pack("<IHB", zlib.crc32(part, zlib.crc32(bytes([k]))), len(part), k) + part for k in (2, 3)]
    log = tmp_path / "run-a.wandb"
    log.write_bytes(chunk[0] + chunk[1] * 600)
    with pytest.raises(InvalidInputError, match="more than 16 MiB"):
        list(leveldb_records(log, 0))
    log.write_bytes(chunk[1])
    with pytest.raises(DamagedError, match="not in order"):
        list(leveldb_records(log, 0))


def test_more_than_a_version_can_hold_is_left_out_and_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracked_run, "MOST_METRICS", 2)
    monkeypatch.setattr(tracked_run, "MOST_DATASETS", 1)
    found = TrackedRun.of(
        "mlflow",
        "x" * 500,
        "https://me:pw@host/x",
        parameters={"api_key": "sk-abcdefghijklmnopqrstuvwxyz", "\x1b[2J": 1, "a": {"b": [1]}, "url": "ftp://a:b@c/"},
        metrics={"a": 1.0, "b": 2.0, "c": 3.0, "d": float("nan"), "": 1.0},
        datasets=[Dataset("x", "1"), Dataset("y", "2"), Dataset("\ud800", "3")],
    )
    assert dict(found.parameters) == {"api_key": "(hidden)", "a.b": "[1]", "url": "ftp://c/"}
    assert dict(found.metrics) == {"a": 1.0, "b": 2.0}
    assert found.datasets == (Dataset("x", "1"),)
    assert found.address == "https://host/x"
    assert len(found.id) == 200
    for word in ("api_key and url look", "1 metric without a number: d", "1 of 3 metrics", "1 of 2 datasets"):
        assert word in " ".join(found.notes)
    assert TrackedRun.from_json(found.to_json()) == found


@pytest.mark.parametrize(
    "named",
    [
        "", "mlflow", "mlflow:", "neptune:X", "wandb:\0", "tensorboard:\0x", "wandb:gs://bucket/x", "mlflow:a/../b",
        "mlflow:https://host/#/experiments/1/runs/", "wandb:/dev/null", "tensorboard:/dev/null", "tensorboard:\udcff",
        "wandb:" + "x" * 5000, "mlflow:http://[::1/#/experiments/1/runs/a",
    ],
)  # fmt: skip
def test_address_that_means_no_run_is_refused(pedigree: Pedigree, named: str) -> None:
    code = 3 if named in ("wandb:/dev/null", "tensorboard:/dev/null") or len(named) > 999 else 2
    pedigree("register", "m", MODELS / "keras", "--from-run", named, code=code)
    assert pedigree("models", "--json").json["items"] == []


# From the command line


def test_version_takes_what_its_run_says_and_what_is_given_outranks_it(pedigree: Pedigree, tmp_path: Path) -> None:
    logdir = tmp_path / "logs"
    shutil.copytree(KERAS, logdir)
    words = ("register", "m", MODELS / "keras", "--from-run", f"tensorboard:{logdir}")
    version = pedigree(*words, "--metric", "best/auc=0.9", "--param", "units=64", "--json").json["version"]
    assert version["parameters"] == {**HPARAMS, "units": 64}
    assert version["metrics"]["best/auc"] == 0.9
    assert version["metrics"]["validation/epoch_accuracy"] == 0.578125
    assert version["tags"] == {"run": "tensorboard:logs", "run_address": str(logdir)}
    assert [one["version"] for one in pedigree("search", "m", "tag.run=tensorboard:logs", "--json").json["items"]] == [
        "1.0.0"
    ]


def test_version_stands_in_the_logs_once_and_is_no_part_of_the_run(pedigree: Pedigree, tmp_path: Path) -> None:
    logdir = tmp_path / "logs"
    shutil.copytree(KERAS, logdir)
    before = read_logdir(logdir)
    words = ("register", "m", MODELS / "keras", "--from-run", f"tensorboard:{logdir}")
    pedigree(*words)
    [file] = (logdir / "pedigree" / "m@1.0.0").iterdir()
    written = file.read_bytes()
    pedigree(*words)
    assert [one.read_bytes() for one in (logdir / "pedigree" / "m@1.0.0").iterdir()] == [written]
    assert read_logdir(logdir) == before
    shown = read_logdir(logdir / "pedigree" / "m@1.0.0")
    assert {**shown.parameters, **HPARAMS} == dict(shown.parameters)
    assert shown.parameters["pedigree.version"] == "m@1.0.0"
    assert shown.metrics == before.metrics


def test_logs_that_cannot_be_written_are_said_and_the_version_is_there(pedigree: Pedigree, tmp_path: Path) -> None:
    logdir = tmp_path / "logs"
    shutil.copytree(KERAS, logdir)
    (logdir / "pedigree").write_text("in the way")
    said = pedigree("register", "m", MODELS / "keras", "--from-run", f"tensorboard:{logdir}")
    assert "was not told that it became m 1.0.0" in said.err
    assert pedigree("show", "m@1.0.0", "--json").json["tags"]["run"] == "tensorboard:logs"


def test_datasets_of_a_run_are_tags_of_its_version(pedigree: Pedigree) -> None:
    tags = pedigree("register", "m", MODELS / "keras", "--from-run", f"wandb:{WANDB}", "--json").json["version"]["tags"]
    assert tags["dataset.flights-2026-11"] == "4b8990be34307fc47fe4107c0adf99ec"
    assert tags["run"] == "wandb:run1flights"


# MLflow


def test_run_of_mlflow_gives_all_and_is_told_its_version(pedigree: Pedigree, mlflow: MlflowServer) -> None:
    version = pedigree("register", "m", MODELS / "keras", "--from-run", f"mlflow:{ID}", "--json").json["version"]
    assert version["parameters"] == {"learning_rate": 0.01, "shuffle": True}
    assert version["metrics"] == {"auc": 0.91, "diverged": "Infinity"}
    page = f"{mlflow.url}/#/experiments/7/runs/{ID}"
    assert version["tags"] == {"run": f"mlflow:{ID}", "run_address": page, "dataset.flights": "2485371048"}
    assert mlflow.marked["pedigree.version"] == "m@1.0.0"
    assert mlflow.marked["pedigree.digest"] == version["digest"]
    assert mlflow.marked["pedigree.url"] == f"sqlite:///{pedigree.registry}/registry.db"
    # The page's address names the run as well, and needs no setting.
    again = pedigree("register", "m", MODELS / "keras", "--from-run", f"mlflow:{page}", MLFLOW_TRACKING_URI=None)
    assert again.err == pedigree("register", "m", MODELS / "keras").err


def test_credentials_go_to_the_configured_server_alone(
    pedigree: Pedigree, mlflow: MlflowServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "very-secret")
    words = ("register", "m", MODELS / "keras", "--from-run")
    page = f"{mlflow.url}/#/experiments/7/runs/{ID}"
    pedigree(*words, f"mlflow:{ID}")
    pedigree(*words, f"mlflow:{page}")
    assert {headers.get("authorization") for _, headers in mlflow.asked} == {"Bearer very-secret"}
    mlflow.asked.clear()
    pedigree(*words, f"mlflow:{page}", MLFLOW_TRACKING_URI="https://mlflow.example.com")
    pedigree(*words, f"mlflow:{page}", MLFLOW_TRACKING_URI=mlflow.url.replace("127.0.0.1", "localhost"))
    assert {headers.get("authorization") for _, headers in mlflow.asked} == {None}
    mlflow.asked.clear()
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "ci")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "pw")
    pedigree(*words, f"mlflow:{ID}")
    assert {headers.get("authorization") for _, headers in mlflow.asked} == {"Basic Y2k6cHc="}


@pytest.mark.parametrize(
    "case",
    [
        (404, {"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "\x1b[2JRun not found"}, 3, "answers 404"),
        (401, b"<html>", 8, "Credentials are read from MLFLOW_TRACKING_TOKEN"),
        (500, {"message": "x" * 10_000}, 8, "answers 500"),
        (302, b"", 8, "answers 302"),
        (200, b"[1]", 8, "not as MLflow does"),
        (200, b"{", 2, "this is not JSON"),
        (200, b'{"run": [1]}', 0, "Registered m 1.0.0"),
        (200, {"run": {"info": 5, "data": {"params": [7, {"key": 5}, {"key": "a", "value": {"b": 1}}]}}}, 0, "Regist"),
        (200, {"run": {"data": {"metrics": [{"key": "a", "value": True}, {"key": "b", "value": 10**400}]}}}, 2, "num"),
        (200, {"run": {"data": {"metrics": [{"key": "b", "value": -(10**390)}]}}}, 0, "Regist"),
        (200, {"run": {"inputs": {"dataset_inputs": [{"dataset": {"name": [], "digest": {}}}, {}]}}}, 0, "Regist"),
    ],
)
def test_answer_of_any_kind_is_used_or_refused(
    pedigree: Pedigree, mlflow: MlflowServer, case: tuple[int, object, int, str]
) -> None:
    status, answer, code, told = case
    mlflow.answers = [(status, answer)]
    said = pedigree("register", "m", MODELS / "keras", "--from-run", f"mlflow:{ID}", code=code)
    assert told in said.out + said.err
    assert len(said.err) < 1500
    assert len(pedigree("models", "--json").json["items"]) == (code == 0)


def test_server_that_is_not_there_refuses_before_anything_is_stored(pedigree: Pedigree, mlflow: MlflowServer) -> None:
    gone = mlflow.url.rpartition(":")[0] + ":9"
    words = ("register", "m", MODELS / "keras", "--from-run", f"mlflow:{ID}")
    said = pedigree(*words, code=8, MLFLOW_TRACKING_URI=gone.replace("//", "//u:secret@"))
    assert "cannot be reached" in said.err
    assert "secret" not in said.err
    assert pedigree("models", "--json").json["items"] == []


def test_run_that_cannot_be_marked_is_said_once_and_the_version_is_there(
    pedigree: Pedigree, mlflow: MlflowServer
) -> None:
    mlflow.answers = [(200, {"run": mlflow.run}), (403, {"message": "no"})]
    said = pedigree("register", "m", MODELS / "keras", "--from-run", f"mlflow:{ID}")
    assert said.err.count(f"mlflow:{ID} was not told that it became m 1.0.0") == 1
    assert pedigree("show", "m@1.0.0", "--json").json["tags"]["run"] == f"mlflow:{ID}"


def test_answer_that_did_not_come_is_asked_for_again(
    pedigree: Pedigree, mlflow: MlflowServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PEDIGREE_PATIENCE", "0.05")
    mlflow.answers = [(503, b"")]
    pedigree("register", "m", MODELS / "keras", "--from-run", f"mlflow:{ID}")
    assert len(mlflow.asked) == 3


def test_registry_on_a_server_is_named_by_the_versions_page(tmp_path: Path, mlflow: MlflowServer) -> None:
    with ExitStack() as stack:
        held = stack.enter_context(Registry.create(tmp_path / "registry", actor="mia"))
        switch = stack.enter_context(running())
        address = stack.enter_context(switch.registry(held, str(tmp_path / "registry")))
        far = Pedigree(address)
        words = ("register", "flight-delay", MODELS / "keras", "--from-run", f"mlflow:{ID}", "--json")
        who: dict[str, str | None] = {"PEDIGREE_TOKEN": "mia", "PEDIGREE_ACTOR": None}
        version = far(*words, **who).json["version"]  # type: ignore[arg-type]
    assert version["metrics"] == {"auc": 0.91, "diverged": "Infinity"}
    assert version["tags"]["dataset.flights"] == "2485371048"
    assert mlflow.marked["pedigree.url"] == f"{address}/models/flight-delay/versions/1.0.0"
