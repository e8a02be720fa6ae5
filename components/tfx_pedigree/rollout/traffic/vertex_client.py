"""Vertex AI's endpoint and model services with Google's client, over REST; its troubles in Pedigree's words.

Credentials are the application's default ones. Nothing is asked again here: the controller looks again by itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

from tfx_pedigree.errors import ConflictError, NotFoundError, UnavailableError
from tfx_pedigree.extras import not_installed
from tfx_pedigree.text import plain

_SECONDS = 10
_OPERATION = re.compile(
    r"projects/[^/\s]+/locations/[^/\s]+/((endpoints|models)/[^/\s]+/)?operations/[a-z0-9][a-z0-9-]{0,50}"
)
_OF_ENDPOINT = "endpoint_"


class TakenError(ConflictError):
    """Something of that name is there, or another operation is going on."""


@dataclass(frozen=True)
class Operation:
    """A long-running operation. `error` is what it ended with; `gone` where Vertex no longer knows it."""

    done: bool
    error: str | None = None
    gone: bool = False


@dataclass(frozen=True)
class VertexService:
    """One endpoint and the models beside it. `address` is where Vertex is asked: its own host, or one on loopback."""

    project: str
    location: str
    endpoint: str
    address: str

    @property
    def title(self) -> str:
        return f"The endpoint {self.endpoint} in {self.project}, {self.location}"

    @property
    def parent(self) -> str:
        return f"projects/{self.project}/locations/{self.location}"

    @property
    def name(self) -> str:
        return f"{self.parent}/endpoints/{self.endpoint}"

    def get_endpoint(self) -> Any:
        with self._answering():
            return self._endpoints.get_endpoint(name=self.name, retry=None, timeout=_SECONDS)

    def update_endpoint(self, etag: str, split: Mapping[str, int], labels: Mapping[str, str]) -> Any:
        """The split and the labels at once, and only as long as nobody changed the endpoint since `etag`."""
        with self._answering():
            changed = self.types.Endpoint(name=self.name, etag=etag, traffic_split=split, labels=labels)
            mask = {"paths": ["traffic_split", "labels"]}
            return self._endpoints.update_endpoint(endpoint=changed, update_mask=mask, retry=None, timeout=_SECONDS)

    def deploy(self, deployed: Any) -> str:
        """The name of the operation. No split goes with it, so what is deployed takes no traffic."""
        with self._answering():
            found = self._endpoints.deploy_model(
                endpoint=self.name, deployed_model=deployed, retry=None, timeout=_SECONDS
            )
            return _operation_name(found.operation.name)

    def undeploy(self, deployed: str) -> str:
        with self._answering():
            found = self._endpoints.undeploy_model(
                endpoint=self.name, deployed_model_id=deployed, retry=None, timeout=_SECONDS
            )
            return _operation_name(found.operation.name)

    def get_model(self, model: str) -> Any | None:
        try:
            with self._answering():
                return self._models.get_model(name=f"{self.parent}/models/{model}", retry=None, timeout=_SECONDS)
        except NotFoundError:
            return None

    def upload_model(self, model: str, body: Any) -> str:
        with self._answering():
            request = {"parent": self.parent, "model_id": model, "model": body}
            found = self._models.upload_model(request=request, retry=None, timeout=_SECONDS)
            return _operation_name(found.operation.name)

    def label_model(self, model: str, etag: str, labels: Mapping[str, str]) -> None:
        with self._answering():
            changed = self.types.Model(name=f"{self.parent}/models/{model}", etag=etag, labels=labels)
            self._models.update_model(model=changed, update_mask={"paths": ["labels"]}, retry=None, timeout=_SECONDS)

    def operation(self, name: str) -> Operation:
        try:
            with self._answering():
                found = self._endpoints.get_operation({"name": name}, retry=None, timeout=_SECONDS)
                failed = found.HasField("error")
                error = plain(found.error.message or f"code {found.error.code}", 300) if failed else None
                return Operation(bool(found.done) or failed, error)
        except NotFoundError:
            return Operation(True, None, gone=True)

    def operation_name(self, short: str) -> str:
        """From what `short_operation` gave."""
        mine = short.startswith(_OF_ENDPOINT)
        return f"{self.name if mine else self.parent}/operations/{short.removeprefix(_OF_ENDPOINT)}"

    @cached_property
    def types(self) -> Any:
        return _modules().client.types

    @cached_property
    def _endpoints(self) -> Any:
        return _modules().client.EndpointServiceClient(transport="rest", client_options={"api_endpoint": self.address})

    @cached_property
    def _models(self) -> Any:
        return _modules().client.ModelServiceClient(transport="rest", client_options={"api_endpoint": self.address})

    @contextmanager
    def _answering(self) -> Iterator[None]:
        found = _modules()
        auth = found.auth
        try:
            yield
        except found.api.GoogleAPICallError as error:
            raise self._refusal(error) from error
        except (auth.DefaultCredentialsError, auth.MalformedError, auth.InvalidValue) as error:
            raise UnavailableError(
                f"There are no usable credentials for Vertex AI: {plain(str(error), 200)} Run `gcloud auth "
                "application-default login`, or set GOOGLE_APPLICATION_CREDENTIALS to the file of a service account."
            ) from error
        except (auth.GoogleAuthError, OSError) as error:
            raise UnavailableError(f"Vertex AI does not answer ({type(error).__name__}).") from error
        # The client reads an error's body without looking at its form.
        except (found.unreadable, ValueError, TypeError, AttributeError) as error:
            raise UnavailableError(f"{self.title} is answered with what is no answer of Vertex AI.") from error

    def _refusal(self, error: Any) -> Exception:
        said, code = plain(str(error.message), 300), int(error.code or 0)
        if code == 404:
            return NotFoundError(
                f"{self.title}, or what belongs to it, is not there: {said} `pedigree rollout template vertex` writes "
                "how to make it."
            )
        if code == 409:
            return TakenError(f"{self.title} refuses: {said}")
        if code in (401, 403):
            return ConflictError(f"{self.title} may not be read or changed by this account: {said}")
        if 400 <= code < 500 and code not in (408, 429, 499):
            return ConflictError(f"{self.title} refuses: {said}")
        return UnavailableError(f"Vertex AI answers with the status {code}: {said}")


def _operation_name(text: str) -> str:
    if not _OPERATION.fullmatch(text):
        raise UnavailableError("Vertex AI answers with an operation that has no usable name.")
    return text


def short_operation(name: str) -> str:
    """As it fits into a label."""
    return f"{_OF_ENDPOINT if '/endpoints/' in name else ''}{name.rpartition('/')[2]}"


@dataclass(frozen=True)
class _Modules:
    client: Any
    api: Any
    auth: Any
    unreadable: type[Exception]


@cache
def _modules() -> _Modules:
    try:
        from google.api_core import exceptions as api  # noqa: PLC0415  seconds, and only where Vertex is asked
        from google.auth import exceptions as auth  # noqa: PLC0415
        from google.cloud import aiplatform_v1 as client  # noqa: PLC0415
        from google.protobuf import json_format  # noqa: PLC0415
    except ImportError as error:
        raise not_installed("The Vertex AI client is", "vertex") from error
    return _Modules(client, api, auth, json_format.ParseError)
