"""A server of MLflow that lies: what it says is held to bounds, and writes nothing where nobody asked for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tfx_pedigree.errors import PedigreeError
from tfx_pedigree.integrations.mlflow.bytes_of import download
from tfx_pedigree.integrations.mlflow.records import marked, models, our_name, runs, versions
from tfx_pedigree.integrations.mlflow.rest import MlflowServer

URI = "mlflow-artifacts:/0/run/artifacts/model"


class Lying(MlflowServer):
    """Answers what it is told to."""

    def __init__(self, answers: Mapping[str, Any]) -> None:
        super().__init__("http://mlflow.example.com")
        object.__setattr__(self, "answers", answers)

    def get(self, address: str, **query: Any) -> Mapping[str, Any]:
        for part, answer in self.answers.items():  # type: ignore[attr-defined]
            if address.endswith(part):
                return answer(query) if callable(answer) else answer
        return {}

    def post(self, path: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
        return self.get(path, **body)

    def download(self, path: str, take: Callable[[Iterator[bytes]], Any]) -> Any:
        return take(iter([b"x"]))


@pytest.mark.parametrize(
    "name", ["..", ".", "/etc/passwd", "../../outside", "a/b", "a\\b", "\0", "", "x" * 300, None, 7, "a\nb"]
)
def test_names_of_files_lead_nowhere_else(tmp_path: Path, name: Any) -> None:
    server = Lying({"get-download-uri": {"artifact_uri": URI}, "artifacts": {"files": [{"path": name}]}})
    (tmp_path / "in").mkdir()
    with pytest.raises(PedigreeError, match="no name of a file"):
        download(server, "m", 1, tmp_path / "in", None)
    assert list(tmp_path.rglob("*")) == [tmp_path / "in"]


def test_folders_without_end_are_refused(tmp_path: Path) -> None:
    server = Lying({"get-download-uri": {"artifact_uri": URI}, "artifacts": {"files": [{"path": "a", "is_dir": True}]}})
    with pytest.raises(PedigreeError, match="folders deep"):
        download(server, "m", 1, tmp_path, None)


@pytest.mark.parametrize(
    "uri",
    ["file:///etc", "/etc", "s3://bucket/x", "http://169.254.169.254/latest", "file:///allowed/../etc", 7, None, ""],
)
def test_nothing_is_read_from_where_it_was_not_allowed(tmp_path: Path, uri: Any) -> None:
    (tmp_path / "allowed").mkdir()
    server = Lying({"get-download-uri": {"artifact_uri": uri}})
    for allowed in (None, str(tmp_path / "allowed")):
        with pytest.raises(PedigreeError):
            download(server, "m", 1, tmp_path / "out", allowed)


def test_folders_that_were_allowed_are_read(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    server = Lying({"get-download-uri": {"artifact_uri": f"file://{tmp_path}/model"}})
    assert download(server, "m", 1, tmp_path / "out", str(tmp_path)) == tmp_path / "model"


def test_records_are_read_field_by_field() -> None:
    odd = [7, None, {"name": "A b", "aliases": [{"alias": "x"}, {"alias": "y", "version": "3"}, "no"]}]
    (model,) = models(Lying({"registered-models/search": {"registered_models": odd}}), ())
    assert (model.ours, model.aliases) == ("a-b", {"y": 3})
    version = {"version": "3", "tags": [{"key": "k\0", "value": "v"}, {"key": "t", "value": "a\0b"}, 5], "run_id": 9}
    (found,) = versions(Lying({"model-versions/search": {"model_versions": [version]}}), model)
    assert (found.tags, found.run, found.stage) == ({"t": "ab"}, "", "")
    with pytest.raises(PedigreeError, match="no number"):
        list(versions(Lying({"model-versions/search": {"model_versions": [{"version": "x"}]}}), model))
    metrics = [{"key": "auc", "value": "NaN"}, {"key": "loss", "value": []}, {"value": 1}, {"key": "n", "value": True}]
    told = {"runs": [{"info": {"run_id": "r"}, "data": {"metrics": metrics}}, 3]}
    answered = runs(
        Lying({"runs/search": told, "experiments/search": {"experiments": [{"experiment_id": "0"}]}}), ["r"]
    )
    assert list(answered["r"][0]) == ["auc"]


@pytest.mark.parametrize("names", [("A b", "a-b"), ("x", "X")])
def test_two_names_that_become_one_are_refused(names: tuple[str, str]) -> None:
    server = Lying({"registered-models/search": {"registered_models": [{"name": one} for one in names]}})
    with pytest.raises(PedigreeError, match="--model"):
        models(server, ())


@pytest.mark.parametrize("name", ["", "///", "ü"])
def test_a_name_of_which_nothing_is_left_is_refused(name: str) -> None:
    with pytest.raises(PedigreeError, match="cannot name a model"):
        our_name(name)


@pytest.mark.parametrize(
    "tag", ["http://mlflow.example.com 1 x -3 99999999999", "http://mlflow.example.com", "other 7"]
)
def test_marks_of_an_import_are_whole_numbers_of_that_server(tag: str) -> None:
    assert marked(tag, Lying({})) <= {1}
