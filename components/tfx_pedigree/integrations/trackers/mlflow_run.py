"""A run of MLflow, read and marked over its REST interface; MLflow's library need not be there.

The server is the one that MLFLOW_TRACKING_URI names. Credentials (MLFLOW_TRACKING_TOKEN, or _USERNAME and _PASSWORD) go
to that server alone, also where an address names another one.
"""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from tfx_pedigree.errors import InvalidInputError
from tfx_pedigree.integrations.mlflow.rest import API, CREDENTIALS, URI_VARIABLE, MlflowServer, origin
from tfx_pedigree.json_form import MEASURED_WORDS
from tfx_pedigree.secrets import masked
from tfx_pedigree.service.versions.tracked_run import Dataset, TrackedRun
from tfx_pedigree.text import plain
from tfx_pedigree.versioning.description import Scalar

TRACKER = "mlflow"
_ID = re.compile(r"[A-Za-z0-9][\w-]{0,127}")
_PAGE = re.compile(r"(https?://[^#\s]{1,1000}?)/?#/experiments/[\w-]{1,64}/runs/([A-Za-z0-9][\w-]{0,127})(?:/.*)?")
_CONTEXT = "mlflow.data.context"


@dataclass(frozen=True)
class MlflowRun:
    """A run on its server."""

    server: MlflowServer
    run: str

    @classmethod
    def of(cls, named: str, environ: Mapping[str, str]) -> MlflowRun:
        """What is meant by a run's id, or by the address of its page."""
        given = environ.get(URI_VARIABLE, "")
        page = _PAGE.fullmatch(named)
        if page is None and not _ID.fullmatch(named):
            raise InvalidInputError(
                f"{plain(masked(named))!r} is no run of MLflow. Give its id, as in mlflow:0a1b2c3d, or the address of "
                "its page."
            )
        if page is None and not given.startswith(("http://", "https://")):
            raise InvalidInputError(
                f"The environment variable {URI_VARIABLE} must be the address of the MLflow server that has the run, "
                "such as https://mlflow.example.com. Runs in a folder or a database are not read: start "
                "`mlflow server` on it."
            )
        base, run = (page[1], page[2]) if page else (given, named)
        # An address in a file of the training's must not learn what is meant for the configured server.
        known = environ if origin(base) == origin(given) else {**environ, **dict.fromkeys(CREDENTIALS, "")}
        return cls(MlflowServer.of(base, known), run)

    def read(self) -> TrackedRun:
        found = _table(self.server.get(f"{API}/runs/get", run_id=self.run), "run")
        data, info = _table(found, "data"), _table(found, "info")
        page = f"{self.server.base}/#/experiments/{plain(str(info.get('experiment_id')), 64)}/runs/{self.run}"
        parameters = {name: _scalar(value) for name, value in _pairs(data, "params") if isinstance(value, str)}
        metrics = {name: number for name, value in _pairs(data, "metrics") if (number := _number(value)) is not None}
        datasets = _datasets(_table(found, "inputs"))
        return TrackedRun.of(TRACKER, self.run, page, parameters=parameters, metrics=metrics, datasets=datasets)

    def mark(self, tags: Mapping[str, str]) -> None:
        """Sets tags of the run, all at once. Repeating it changes nothing."""
        told = [{"key": key, "value": value} for key, value in tags.items()]
        self.server.post(f"{API}/runs/log-batch", {"run_id": self.run, "tags": told})


def _table(value: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = value.get(key)
    return found if isinstance(found, dict) else {}


def _rows(value: Mapping[str, Any], key: str) -> Iterable[Mapping[str, Any]]:
    found = value.get(key)
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def _pairs(data: Mapping[str, Any], key: str) -> Iterable[tuple[str, Any]]:
    return [(one["key"], one.get("value")) for one in _rows(data, key) if isinstance(one.get("key"), str)]


def _number(value: Any) -> float | None:
    if isinstance(value, str):
        return MEASURED_WORDS.get(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    # Its databases know no infinity, and keep the largest number in its place.
    if abs(value) >= sys.float_info.max:
        return math.inf if value > 0 else -math.inf
    return float(value)


def _scalar(text: str) -> Scalar:
    """MLflow keeps texts; numbers and truth values are given back, as Python wrote them."""
    if text in ("True", "False"):
        return text == "True"
    if not re.fullmatch(r"-?(?:0|[1-9]\d{0,17})(?:\.\d{1,30})?(?:[eE][+-]?\d{1,3})?", text):
        return text
    found = float(text)
    if re.fullmatch(r"-?\d+", text):
        return int(text)
    return found if math.isfinite(found) else text


def _datasets(inputs: Mapping[str, Any]) -> Iterable[Dataset]:
    for one in _rows(inputs, "dataset_inputs"):
        data = _table(one, "dataset")
        name, digest = data.get("name"), data.get("digest")
        if isinstance(name, str) and isinstance(digest, str):
            context = next((value for key, value in _pairs(one, "tags") if key == _CONTEXT), None)
            yield Dataset(name, digest, context if isinstance(context, str) else None)
