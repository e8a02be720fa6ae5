"""One custom object of a Kubernetes cluster: read, and replaced only as it was read.

The cluster compares `resourceVersion` itself: what somebody else changed meanwhile is not overwritten.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from tfx_pedigree.bounded_parse import parse_json
from tfx_pedigree.comparison.config_reader import ConfigNode
from tfx_pedigree.errors import ConflictError, InvalidInputError, NotFoundError, UnavailableError
from tfx_pedigree.extras import not_installed
from tfx_pedigree.rollout.traffic.api import FencedError
from tfx_pedigree.text import plain

CLUSTER_KEYS = ("namespace", "name", "kubeconfig", "context")
PREFIX = "tfx-pedigree/"
_SECONDS = 10


@dataclass(frozen=True)
class ObjectKind:
    group: str
    version: str
    plural: str
    noun: str


@dataclass(frozen=True)
class ClusterObject:
    """Where an object is, and by which client."""

    kind: ObjectKind
    namespace: str
    name: str
    api: Any

    @property
    def title(self) -> str:
        return f"The {self.kind.noun} {self.name} in the namespace {self.namespace}"

    def read(self) -> dict[str, Any]:
        with self._answering():
            found = self.api.get_namespaced_custom_object(*self._place(), _request_timeout=_SECONDS)
        if not isinstance(found, dict) or not isinstance(found.get("metadata"), dict):
            raise UnavailableError(f"{self.title} is not answered as an object of Kubernetes.")
        return found

    def replace(self, body: Mapping[str, Any], notes: Mapping[str, str]) -> dict[str, Any]:
        """`body` is what was read, changed. The notes are kept as annotations."""
        changed = copy.deepcopy(dict(body))
        annotations = changed["metadata"].setdefault("annotations", {})
        annotations.update({f"{PREFIX}{key}": value for key, value in notes.items()})
        changed.pop("status", None)
        with self._answering():
            found: dict[str, Any] = self.api.replace_namespaced_custom_object(
                *self._place(), changed, _request_timeout=_SECONDS
            )
        return found

    def _place(self) -> tuple[str, str, str, str, str]:
        return self.kind.group, self.kind.version, self.namespace, self.kind.plural, self.name

    @contextmanager
    def _answering(self) -> Iterator[None]:
        import urllib3  # noqa: PLC0415  with the client, which is loaded late
        from kubernetes.client.exceptions import ApiException  # noqa: PLC0415

        try:
            yield
        except ApiException as error:
            raise self._refusal(error) from error
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise UnavailableError(f"The cluster does not answer ({type(error).__name__}).") from error

    def _refusal(self, error: Any) -> Exception:
        said = _message(error)
        if error.status == 404:
            return NotFoundError(f"{self.title} does not exist. Make it first; docs/rollout.md shows one.")
        if error.status == 409:
            return FencedError(f"{self.title} was changed since it was read.")
        if error.status in (401, 403):
            return ConflictError(f"{self.title} may not be read or changed by this account: {said}")
        if error.status in (400, 422):
            return ConflictError(f"{self.title} cannot be changed so: {said}")
        return UnavailableError(f"The cluster answers with the status {error.status}: {said}")


def _message(error: Any) -> str:
    try:
        return plain(str(parse_json(error.body, "the cluster's answer")["message"]), 300)
    except (TypeError, ValueError, KeyError, InvalidInputError):
        return plain(str(error.reason), 100)


def note(found: Mapping[str, Any], key: str) -> str | None:
    value = (found["metadata"].get("annotations") or {}).get(f"{PREFIX}{key}")
    return value if isinstance(value, str) else None


def whole_note(found: Mapping[str, Any], key: str) -> int | None:
    text = note(found, key)
    return int(text) if text is not None and text.isdecimal() else None


def open_object(kind: ObjectKind, settings: Mapping[str, ConfigNode], owner: ConfigNode) -> ClusterObject:
    """With the cluster's own account where this runs in one; else with a kubeconfig."""
    for key in ("namespace", "name"):
        if key not in settings:
            raise owner.wrong(f"lacks `{key}`.")
    try:
        from kubernetes import client, config  # noqa: PLC0415  seconds, and only where a cluster is asked
    except ImportError as error:
        raise not_installed("The package kubernetes is", "rollout") from error
    kubeconfig = settings["kubeconfig"].text() if "kubeconfig" in settings else None
    context = settings["context"].text() if "context" in settings else None
    try:
        if kubeconfig is None and context is None and "KUBERNETES_SERVICE_HOST" in os.environ:
            config.load_incluster_config()
            made = client.ApiClient()
        else:
            made = config.new_client_from_config(kubeconfig, context)
    except (config.ConfigException, OSError) as error:
        raise InvalidInputError(f"The cluster cannot be reached: {plain(str(error), 300)}") from error
    api = client.CustomObjectsApi(made)
    return ClusterObject(kind, settings["namespace"].text(), settings["name"].text(), api)
