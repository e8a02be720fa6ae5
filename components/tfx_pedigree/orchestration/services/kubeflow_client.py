"""A connection to Kubeflow Pipelines with the kfp client, and its troubles in Pedigree's words.

The client is used as it comes, with three of its habits held back: it waits for an answer for ever, it tries its health
check for half a minute with a traceback for each failure, and it prints links to stdout.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import io
import os
import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tfx_pedigree.bounded_parse import parse_json
from tfx_pedigree.errors import (
    ConflictError,
    ForbiddenError,
    InvalidInputError,
    NotFoundError,
    PedigreeError,
)
from tfx_pedigree.extras import not_installed
from tfx_pedigree.orchestration.services.service import UnansweredError
from tfx_pedigree.secrets import masked

TOKEN = "PEDIGREE_KUBEFLOW_TOKEN"  # noqa: S105  the name of a variable
TOKEN_FILE = "KF_PIPELINES_SA_TOKEN_PATH"  # noqa: S105  the name that kfp gives it
MOUNTED_TOKEN = "/var/run/secrets/kubeflow/pipelines/token"  # noqa: S105  where Kubernetes mounts it
ENDPOINT = "KF_PIPELINES_ENDPOINT"
TIMEOUT = (10, 60)
_BUSY = (408, 425, 429)


def connect(host: str | None, namespace: str | None, ca: str | None) -> Any:
    """A kfp.Client that has been answered once. Credentials come from the environment or a mounted file."""
    if importlib.util.find_spec("kfp") is None:
        raise not_installed("The Kubeflow client is", "kubeflow")
    host = host or os.environ.get(ENDPOINT)
    if not host and not os.environ.get("KUBERNETES_SERVICE_HOST"):
        raise InvalidInputError(
            f"No Kubeflow is named. Set `target.host` in the config, or {ENDPOINT} in the environment, to the address "
            "of its pipelines, as https://kubeflow.example/pipeline."
        )
    where = address(host)
    _check_settings(host, where, ca)
    try:
        with speaking(where), _quiet():
            client = _client_class()(host=host, namespace=namespace or "kubeflow", ssl_ca_cert=ca, **_credentials())
            found = client.get_kfp_healthz()
    except NotFoundError as error:
        raise NotFoundError(
            f"{error} Check that `target.host` is the address of the pipelines, as https://kubeflow.example/pipeline."
        ) from error
    _check(client, where, namespace, found)
    return client


def _check_settings(host: str | None, where: str, ca: str | None) -> None:
    """What the client would take for a service that does not answer, or would not look at."""
    if host and not re.fullmatch(r"(?:https?://)?(?![^/]*://)\S+", host):
        raise InvalidInputError(
            f"{where} is not an address of Kubeflow. Set `target.host` in the config, or {ENDPOINT}, to one like "
            "https://kubeflow.example/pipeline."
        )
    if ca and not Path(ca).is_file():
        raise InvalidInputError(f"`target.ca` names {ca}, but there is no such file.")


def address(host: str | None) -> str:
    """As it may be printed."""
    host = host or os.environ.get(ENDPOINT)
    return masked(host) if host else "the cluster's ml-pipeline"


@functools.cache
def _client_class() -> Any:
    import kfp.client  # noqa: PLC0415  half a second

    class Client(kfp.client.Client):  # type: ignore[misc]  # kfp has no types
        """Asks once where kfp asks five times with pauses: whoever connects has patience of their own."""

        def get_kfp_healthz(self, sleep_duration: int = 5) -> Any:
            _hasten(self)
            # Releases of kfp name the generated method differently.
            health = vars(self.healthzs)
            return (health.get("get_healthz") or health["healthz_service_get_healthz"])()

    return Client


def _hasten(client: Any) -> None:
    rest = client._run_api.api_client.rest_client
    if not isinstance(rest.request, functools.partial):
        rest.request = functools.partial(_in_time, rest.request)


def _in_time(request: Any, *args: Any, _request_timeout: Any = None, **kwargs: Any) -> Any:
    answer = request(*args, _request_timeout=_request_timeout or TIMEOUT, **kwargs)
    if str(answer.getheader("Content-Type")).startswith("text/html"):
        raise _PageError
    return answer


def _credentials() -> dict[str, Any]:
    token = os.environ.get(TOKEN, "").strip()
    if token:
        if not re.fullmatch(r"[\x21-\x7e]+", token):
            raise InvalidInputError(f"{TOKEN} holds what no token can be, such as a blank or a line break.")
        return {"existing_token": token}
    file = os.environ.get(TOKEN_FILE) or MOUNTED_TOKEN
    if not Path(file).exists():
        if os.environ.get(TOKEN_FILE):
            raise InvalidInputError(f"{TOKEN_FILE} names {file}, but there is no such file.")
        return {}
    from kfp.client import ServiceAccountTokenVolumeCredentials  # noqa: PLC0415  only where there is a token

    return {"credentials": ServiceAccountTokenVolumeCredentials(file)}


class _PageError(Exception):
    """A login page instead of an answer. kfp would take it for an empty one: no pipelines, no schedules."""


def _page(where: str) -> ForbiddenError:
    return ForbiddenError(
        f"{where} answers with a page instead of Kubeflow's API, most likely to log in. Give a token in {TOKEN} or "
        f"a file of it in {TOKEN_FILE}, and check that `target.host` is the address of the pipelines.",
        "pipeline",
    )


def _check(client: Any, where: str, namespace: str | None, health: Any) -> None:
    kind = client._run_api.api_client.last_response.urllib3_response.headers.get("Content-Type", "")
    if "json" not in kind:
        raise _page(where)
    if health.multi_user and not (namespace or client.get_user_namespace()):
        raise InvalidInputError(
            f"Kubeflow at {where} runs in multi-user mode. Set `target.namespace` in the config to your namespace."
        )


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore", FutureWarning)
        warnings.simplefilter("ignore", UserWarning)  # that an address without a scheme is one of https
        yield


@contextlib.contextmanager
def speaking(where: str) -> Iterator[None]:
    """Around every call of the client: its exceptions leave as Pedigree's."""
    import kfp_server_api  # noqa: PLC0415  with kfp
    import urllib3  # noqa: PLC0415  with kfp

    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    except _PageError as error:
        raise _page(where) from error
    except kfp_server_api.ApiException as error:
        raise _refusal(where, error) from error
    except (urllib3.exceptions.HTTPError, OSError) as error:
        raise UnansweredError(
            f"Kubeflow Pipelines at {where} does not answer: {_cause(error)}. "
            "Check `target.host` and the network, then run the command again."
        ) from error


def _refusal(where: str, error: Any) -> PedigreeError:
    status, said = int(error.status or 0), _said(error)
    if status in (0, *_BUSY) or status >= 500:
        return UnansweredError(
            f"Kubeflow Pipelines at {where} cannot answer now ({status}: {said}). Run the command again later."
        )
    if status in (401, 403):
        return ForbiddenError(
            f"Kubeflow Pipelines at {where} refuses ({status}: {said}). Check the token in {TOKEN} or {TOKEN_FILE}, "
            "and what its account may do in the namespace; docs/kubeflow.md lists what is needed.",
            "pipeline",
        )
    refusal = f"Kubeflow Pipelines at {where} refuses ({status}): {said}."
    if status == 409:
        return ConflictError(f"{refusal} Run the command again: it looks at what is there now.")
    return NotFoundError(refusal) if status == 404 else InvalidInputError(refusal)


def _said(error: Any) -> str:
    try:
        body = parse_json(error.body, "The answer")
        text = str(body.get("message") or body.get("error_message") or body.get("error") or error.reason)
    except (InvalidInputError, TypeError, AttributeError):
        text = str(error.reason or error.body or "no reason given")
    return " ".join(text.split()).rstrip(".")[:300]


def _cause(error: BaseException) -> str:
    """The innermost reason, which is the one that a person can do something about."""
    reason = getattr(error, "reason", None)
    if isinstance(reason, BaseException):
        return _cause(reason)
    text = str(error.args[-1]) if error.args else type(error).__name__
    return masked(text.rpartition(": ")[2] or text).rstrip(".")


def ui_of(host: str | None) -> str | None:
    """Where people look at runs. It is printed: whoever opens it has a password of their own."""
    found = os.environ.get("KF_PIPELINES_UI_ENDPOINT") or host or os.environ.get(ENDPOINT)
    return re.sub(r"(?<=://)[^/]*@", "", found).rstrip("/") if found and urlsplit(found).scheme else None
