"""A run of MLflow, read and marked over its REST interface; MLflow's library need not be there.

The server is the one that MLFLOW_TRACKING_URI names. Credentials (MLFLOW_TRACKING_TOKEN, or _USERNAME and _PASSWORD) go
to that server alone, also where an address names another one.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode, urlsplit

from tfx_pedigree import __version__
from tfx_pedigree.bounded_parse import LARGEST_JSON, parse_json
from tfx_pedigree.errors import InvalidInputError, NotFoundError, PedigreeError, UnavailableError
from tfx_pedigree.json_form import MEASURED_WORDS
from tfx_pedigree.retry_policy import RetryPolicy
from tfx_pedigree.secrets import masked, without_password
from tfx_pedigree.service.tracked_run import Dataset, TrackedRun
from tfx_pedigree.text import plain
from tfx_pedigree.versioning.description import Scalar

TRACKER = "mlflow"
URI_VARIABLE = "MLFLOW_TRACKING_URI"
_TOKEN, _USER, _PASSWORD = "MLFLOW_TRACKING_TOKEN", "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"
_AUTHORITY = "MLFLOW_TRACKING_SERVER_CERT_PATH"
_ID = re.compile(r"[A-Za-z0-9][\w-]{0,127}")
_PAGE = re.compile(r"(https?://[^#\s]{1,1000}?)/?#/experiments/[\w-]{1,64}/runs/([A-Za-z0-9][\w-]{0,127})(?:/.*)?")
_CONNECT, _ANSWER = 5.0, 30.0
_PASSING = (429, 502, 503, 504)
_CONTEXT = "mlflow.data.context"


class _PassingError(Exception):
    """What may be over in a moment; `told` is what to say if it is not."""

    def __init__(self, told: PedigreeError) -> None:
        super().__init__(str(told))
        self.told = told


@dataclass(frozen=True)
class MlflowRuns:
    """The runs of one server. `headers` hold the credentials, where there are any."""

    base: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    authority: str | None = None
    patience: RetryPolicy = field(default_factory=RetryPolicy)

    @classmethod
    def of(cls, named: str, environ: Mapping[str, str]) -> tuple[MlflowRuns, str]:
        """The server and the run that are meant by a run's id, or by the address of its page."""
        given = environ.get(URI_VARIABLE, "")
        page = _PAGE.fullmatch(named)
        if page is None and not _ID.fullmatch(named):
            raise InvalidInputError(
                f"{plain(masked(named))!r} is no run of MLflow. Give its id, as in mlflow:0a1b2c3d, or the address of "
                "its page."
            )
        base, run = (page[1], page[2]) if page else (given, named)
        if not re.fullmatch(r"https?://[^\s#?]{1,1000}", base) or (server := origin(base)) is None:
            raise InvalidInputError(
                f"The environment variable {URI_VARIABLE} must be the address of the MLflow server that has the run, "
                "such as https://mlflow.example.com. Runs in a folder or a database are not read: start "
                "`mlflow server` on it."
            )
        known = server == origin(given)
        patience = RetryPolicy.from_environment(environ)
        return cls(
            without_password(base).rstrip("/"),
            credentials(base, environ) if known else {},
            environ.get(_AUTHORITY) if known else None,
            patience,
        ), run

    def read(self, run: str) -> TrackedRun:
        answer = self._ask("GET", f"/api/2.0/mlflow/runs/get?{urlencode({'run_id': run})}", run)
        found = _table(answer, "run")
        data, info = _table(found, "data"), _table(found, "info")
        experiment = info.get("experiment_id")
        page = f"{self.base}/#/experiments/{plain(str(experiment), 64)}/runs/{run}"
        parameters = {name: _scalar(value) for name, value in _pairs(data, "params") if isinstance(value, str)}
        metrics = {name: number for name, value in _pairs(data, "metrics") if (number := _number(value)) is not None}
        datasets = _datasets(_table(found, "inputs"))
        return TrackedRun.of(TRACKER, run, page, parameters=parameters, metrics=metrics, datasets=datasets)

    def mark(self, run: str, tags: Mapping[str, str]) -> None:
        """Sets tags of a run, all at once. Repeating it changes nothing."""
        told = [{"key": key, "value": value} for key, value in tags.items()]
        self._ask("POST", "/api/2.0/mlflow/runs/log-batch", run, {"run_id": run, "tags": told})

    def _ask(self, method: str, path: str, run: str, body: Any = None) -> Mapping[str, Any]:
        try:
            content = self.patience.calls(lambda: self._once(method, path, run, body), _PassingError)
        except _PassingError as error:
            raise error.told from error
        answer = parse_json(content or b"{}", f"the answer of {self.base}", words=True)
        if not isinstance(answer, dict):
            raise UnavailableError(f"{self.base} answers, but not as MLflow does. Check {URI_VARIABLE}.")
        return answer

    def _once(self, method: str, path: str, run: str, body: Any) -> bytes:
        import urllib3  # noqa: PLC0415  for those alone who name a run of MLflow

        timeout = urllib3.Timeout(connect=_CONNECT, read=_ANSWER)
        agent = {"user-agent": f"tfx-pedigree/{__version__}", "content-type": "application/json"}
        sent = None if body is None else json.dumps(body).encode()
        try:
            with urllib3.PoolManager(timeout=timeout, cert_reqs="CERT_REQUIRED", ca_certs=self.authority) as pool:
                response = pool.request(
                    method,
                    self.base + path,
                    body=sent,
                    headers={**agent, **self.headers},
                    preload_content=False,
                    redirect=False,
                    retries=False,
                )
                content: bytes = response.read(LARGEST_JSON + 1)
                status = response.status
                response.close()
        except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            cause = plain(masked(str(getattr(error, "reason", None) or error)).rpartition(">: ")[2], 200)
            told = f"The MLflow server {self.base} cannot be reached: {cause}. Check {URI_VARIABLE} and the server."
            raise _PassingError(UnavailableError(told)) from error
        if status < 300:
            return content
        refusal = self._refusal(status, content, run)
        raise _PassingError(refusal) if status in _PASSING else refusal

    def _refusal(self, status: int, content: bytes, run: str) -> PedigreeError:
        try:
            answer = parse_json(content, "the refusal")
            said = answer.get("message") or answer.get("error_code") if isinstance(answer, dict) else ""
        except InvalidInputError:
            said = ""
        told = f"{status}{f': {plain(str(said), 200)}' if said else ''}"
        if status == 404:
            return NotFoundError(f"The MLflow server {self.base} knows no run {run} ({told}). Check the run's id.")
        if status in (401, 403):
            return UnavailableError(
                f"The MLflow server {self.base} does not let us at the run {run} ({told}). Credentials are read from "
                f"{_TOKEN}, or {_USER} and {_PASSWORD}, and sent only to the server in {URI_VARIABLE}."
            )
        return UnavailableError(f"The MLflow server {self.base} answers {told}, so the run {run} was not reached.")


def origin(address: str) -> tuple[str, str | None, int | None] | None:
    """None for what is no address."""
    try:
        parts = urlsplit(address)
        port = parts.port or {"https": 443, "http": 80}.get(parts.scheme)
    except ValueError:
        return None
    return (parts.scheme, parts.hostname, port) if parts.hostname else None


def credentials(base: str, environ: Mapping[str, str]) -> dict[str, str]:
    from base64 import b64encode  # noqa: PLC0415  as urllib3

    user, password = environ.get(_USER), environ.get(_PASSWORD, "")
    parts = urlsplit(base)
    if not user and parts.username:
        user, password = parts.username, parts.password or ""
    if user:
        return {"authorization": f"Basic {b64encode(f'{user}:{password}'.encode()).decode()}"}
    token = environ.get(_TOKEN)
    return {"authorization": f"Bearer {token}"} if token else {}


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
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value) if abs(value) < 1e300 or not math.isfinite(value) else None
    return None


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
