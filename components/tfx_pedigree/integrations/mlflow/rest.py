"""A server of MLflow, asked over its REST interface; MLflow's library need not be there."""

from __future__ import annotations

import functools
import itertools
import json
import os
import re
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote, urlencode, urlsplit

from tfx_pedigree import __version__
from tfx_pedigree.bounded_parse import LARGEST_JSON, parse_json
from tfx_pedigree.errors import ConflictError, InvalidInputError, NotFoundError, PedigreeError, UnavailableError
from tfx_pedigree.retry_policy import RetryPolicy
from tfx_pedigree.secrets import masked, without_password
from tfx_pedigree.text import plain

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse, PoolManager

T = TypeVar("T")
URI_VARIABLE = "MLFLOW_TRACKING_URI"
CREDENTIALS = ("MLFLOW_TRACKING_TOKEN", "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD")
_TOKEN, _USER, _PASSWORD = CREDENTIALS
_AUTHORITY = "MLFLOW_TRACKING_SERVER_CERT_PATH"
API = "/api/2.0/mlflow"
ARTIFACTS = "/api/2.0/mlflow-artifacts/artifacts"
_CONNECT, _ANSWER = 10.0, 120.0
_PASSING = (429, 502, 503, 504)
_PIECE = 1 << 20
_PAGE, _MOST_PAGES = 1000, 10_000


class _PassingError(Exception):
    """What may be over in a moment; `told` is what to say if it is not."""

    def __init__(self, told: PedigreeError) -> None:
        super().__init__(str(told))
        self.told = told


@dataclass(frozen=True)
class MlflowServer:
    """`headers` hold the credentials, where there are any. What is asked for with `get`, `post` and `put` may be asked
    for twice: a question, or a change that is the same when it is done again."""

    base: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    patience: RetryPolicy = field(default_factory=RetryPolicy)
    authority: str | None = None

    @classmethod
    def of(cls, address: str, environ: Mapping[str, str] = os.environ) -> MlflowServer:
        """MLflow's credentials are for the server in MLFLOW_TRACKING_URI, or for this one where none is named there."""
        if not re.fullmatch(r"https?://[^\s#?]{1,1000}", address) or (server := origin(address)) is None:
            shown = plain(masked(address), 100)
            raise InvalidInputError(
                f"{shown!r} is no address of an MLflow server. Give one such as https://mlflow.example.com. For a "
                "database or a folder, start MLflow's own server on it, for so long: `mlflow server --port 5000 "
                f"--backend-store-uri {shlex.quote(shown)}`. Then give http://127.0.0.1:5000."
            )
        given = environ.get(URI_VARIABLE)
        known = {} if given and origin(given) != server else dict(environ)
        return cls(
            without_password(address).rstrip("/"),
            _credentials(address, known),
            RetryPolicy.from_environment(environ),
            environ.get(_AUTHORITY) or None,
        )

    def models(self, names: Sequence[str]) -> Iterator[Mapping[str, Any]]:
        for one in names:
            found = self.get(f"{API}/registered-models/get", name=one).get("registered_model")
            yield from [found] if isinstance(found, dict) else []
        if not names:
            yield from self._pages("registered-models/search", "registered_models", max_results=100)

    def versions(self, model: str) -> Iterator[Mapping[str, Any]]:
        quoted = model.replace("'", "''")
        asked = {"filter": f"name='{quoted}'", "max_results": _PAGE, "order_by": "version_number ASC"}
        return self._pages("model-versions/search", "model_versions", **asked)

    def runs(self, ids: Sequence[str]) -> Iterator[Mapping[str, Any]]:
        body = {
            "experiment_ids": self._experiments,
            "filter": f"attributes.run_id IN ({', '.join(map(repr, ids))})",
            "run_view_type": "ALL",
            "max_results": len(ids),
        }
        return _rows(self.post(f"{API}/runs/search", body), "runs")

    def uri_of(self, model: str, version: int) -> Any:
        return self.get(f"{API}/model-versions/get-download-uri", name=model, version=version).get("artifact_uri")

    @functools.cached_property
    def _experiments(self) -> list[Any]:
        asked = {"max_results": _PAGE, "view_type": "ALL"}

        def page(token: Any) -> Mapping[str, Any]:
            return self.post(f"{API}/experiments/search", {**asked, **({"page_token": token} if token else {})})

        return [one.get("experiment_id") for one in _all(page, "experiments")]

    def _pages(self, path: str, name: str, **asked: Any) -> Iterator[Mapping[str, Any]]:
        return _all(lambda token: self.get(f"{API}/{path}", page_token=token, **asked), name)

    def get(self, address: str, **query: Any) -> Mapping[str, Any]:
        asked = urlencode({key: value for key, value in query.items() if value is not None}, doseq=True)
        path = f"{address}?{asked}" if asked else address
        return self._patiently(lambda: self._once("GET", path, None, self._table))

    def post(self, path: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
        return self._patiently(lambda: self._post(path, body))

    def create(
        self, path: str, body: Mapping[str, Any], find: Callable[[], Mapping[str, Any] | None]
    ) -> Mapping[str, Any]:
        """Makes what there must be only one of: where the answer did not come, `find` says whether it was made."""
        tries = itertools.count()

        def once() -> Mapping[str, Any]:
            found = find() if next(tries) else None
            return self._post(path, body) if found is None else found

        return self._patiently(once)

    def put(self, path: str, content: Callable[[], Any], size: int) -> None:
        """`content` is asked for anew for each try."""
        self._patiently(lambda: self._once("PUT", path, content(), lambda response: response.read(LARGEST_JSON), size))

    def download(self, path: str, take: Callable[[Iterator[bytes]], T]) -> T:
        """What `take` makes of the bytes; it is called again where they break off."""
        return self._patiently(lambda: self._once("GET", path, None, lambda response: take(_pieces(response))))

    def _patiently(self, work: Callable[[], T]) -> T:
        try:
            return self.patience.calls(work, _PassingError)
        except _PassingError as error:
            raise error.told from error

    def _post(self, path: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
        return self._once("POST", path, json.dumps(body).encode(), self._table)

    def _once(
        self, method: str, path: str, body: Any, take: Callable[[BaseHTTPResponse], T], size: int | None = None
    ) -> T:
        import urllib3  # noqa: PLC0415  for those alone who ask a server of MLflow

        kind = "application/json" if size is None else "application/octet-stream"
        own = {"user-agent": f"tfx-pedigree/{__version__}", "content-type": kind, "accept-encoding": "identity"}
        if size is not None:
            own["content-length"] = str(size)
        try:
            response = self._pool.request(
                method,
                self.base + path,
                body=body,
                headers={**own, **self.headers},
                preload_content=False,
                decode_content=False,
                redirect=False,
                retries=False,
            )
            try:
                if response.status < 300:
                    return take(response)
                refusal = self._refusal(response.status, response.read(LARGEST_JSON))
            finally:
                response.close()  # one that was read to its end has given its connection back
        except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            cause = plain(masked(str(getattr(error, "reason", None) or error)).rpartition(">: ")[2], 200)
            told = f"The MLflow server {self.base} cannot be reached: {cause}. Check the address and the server."
            raise _PassingError(UnavailableError(told)) from error
        raise _PassingError(refusal) if response.status in _PASSING else refusal

    @functools.cached_property
    def _pool(self) -> PoolManager:
        import urllib3  # noqa: PLC0415  as above

        timeout = urllib3.Timeout(connect=_CONNECT, read=_ANSWER)
        return urllib3.PoolManager(timeout=timeout, maxsize=16, cert_reqs="CERT_REQUIRED", ca_certs=self.authority)

    def _table(self, response: BaseHTTPResponse) -> Mapping[str, Any]:
        content = response.read(LARGEST_JSON + 1)
        found = parse_json(content or b"{}", f"the answer of {self.base}", words=True)
        if not isinstance(found, dict):
            raise UnavailableError(f"{self.base} answers, but not as MLflow does. Check the address.")
        return found

    def _refusal(self, status: int, content: bytes) -> PedigreeError:
        try:
            answer = parse_json(content, "the refusal")
        except InvalidInputError:
            answer = {}
        found = answer if isinstance(answer, dict) else {}
        said = plain(str(found.get("message") or found.get("error_code") or ""), 200)
        told = f"The MLflow server {self.base} answers {status}{f': {said}' if said else ''}"
        if status in (401, 403):
            return UnavailableError(
                f"{told}. Credentials are read from MLFLOW_TRACKING_TOKEN, or from MLFLOW_TRACKING_USERNAME and "
                "MLFLOW_TRACKING_PASSWORD."
            )
        if found.get("error_code") == "RESOURCE_ALREADY_EXISTS":
            return ConflictError(f"{told}.")
        return NotFoundError(f"{told}.") if status == 404 else UnavailableError(f"{told}.")


def origin(address: str) -> tuple[str, str | None, int | None] | None:
    """None for what is no address."""
    try:
        parts = urlsplit(address)
        port = parts.port or {"https": 443, "http": 80}.get(parts.scheme)
    except ValueError:
        return None
    return (parts.scheme, parts.hostname, port) if parts.hostname else None


def _credentials(base: str, environ: Mapping[str, str]) -> dict[str, str]:
    from base64 import b64encode  # noqa: PLC0415  as above

    user, password = environ.get(_USER), environ.get(_PASSWORD, "")
    parts = urlsplit(base)
    if not user and parts.username:
        user, password = parts.username, parts.password or ""
    if user:
        return {"authorization": f"Basic {b64encode(f'{user}:{password}'.encode()).decode()}"}
    token = environ.get(_TOKEN)
    return {"authorization": f"Bearer {token}"} if token else {}


def _all(page: Callable[[Any], Mapping[str, Any]], name: str) -> Iterator[Mapping[str, Any]]:
    token = None
    for _ in range(_MOST_PAGES):
        answer = page(token)
        yield from _rows(answer, name)
        token = answer.get("next_page_token")
        if not token:
            return


def _rows(answer: Mapping[str, Any], name: str) -> Iterator[Mapping[str, Any]]:
    found = answer.get(name)
    return (one for one in (found if isinstance(found, list) else ()) if isinstance(one, dict))


def file_path(uri_path: str) -> str:
    """Below the server's artifacts."""
    return f"{ARTIFACTS}/{quote(uri_path.strip('/'))}"


def _pieces(response: BaseHTTPResponse) -> Iterator[bytes]:
    while piece := response.read(_PIECE):
        yield piece
