"""Parameters of components: how they are declared, and what arrives of them on each runner.

TFX's local runner hands over what was written; Kubeflow knows no truth values or lists and turns numbers into floats.
An executor reads everything with the functions below and never looks at the runner.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from enum import Enum
from typing import Any, TypeVar

from tfx_pedigree import settings
from tfx_pedigree.bounded_parse import parse_json
from tfx_pedigree.errors import InvalidInputError
from tfx_pedigree.lineage.run_graph import PipelineRun
from tfx_pedigree.secrets import has_password, masked
from tfx_pedigree.service.workspace import Workspace, connect

MODEL_NAME = "model_name"
REGISTRY = "registry"
STORE = "store"
ACTOR = "actor"
LIBRARY = "library"
ASKED = "asked"
RUN = "run"
MLMD = "mlmd"
# In these a password may stand.
ADDRESSES = (REGISTRY, STORE, MLMD)

# Kubeflow and Vertex put the run's id where a parameter is exactly this text; TFX's local runner leaves it alone.
RUN_ID = "{{$.pipeline_job_uuid}}"

Properties = Mapping[str, Any]
Choice = TypeVar("Choice", bound=Enum)


def without_secret(key: str, address: str) -> str:
    """Refuses a password: parameters are kept in clear text by every runner, in its metadata and its pages."""
    if has_password(address):
        raise InvalidInputError(
            f"The parameter `{key}` holds a password ({masked(address)}), and parameters of a pipeline can be "
            "read by everybody who sees it. Leave the password out and give it to the executor's environment "
            f"(PGPASSWORD, or the whole address as {settings.ENVIRONMENT.get(key, 'PEDIGREE_REGISTRY')})."
        )
    return address


def text(properties: Properties, key: str, default: str = "") -> str:
    value = properties.get(key)
    if value is None or value == "":
        return default
    if isinstance(value, str):
        return value
    if isinstance(value, float) and value.is_integer():
        value = int(value)  # Kubeflow makes 7.0 of 7
    return str(value)


def whole(properties: Properties, key: str, default: int = 0) -> int:
    value = properties.get(key)
    if value is None or value == "":
        return default
    try:
        number = float(value)
        if number.is_integer():
            return int(number)
    except (TypeError, ValueError):
        pass
    raise InvalidInputError(f"The parameter `{key}` is {value!r}, but it must be a whole number.")


def choice(kind: type[Choice], properties: Properties, key: str, default: Choice) -> Choice:
    return one_of(kind, key, text(properties, key, str(default.value)))


def one_of(kind: type[Choice], key: str, word: str) -> Choice:
    try:
        return kind(word.lower())
    except ValueError:
        words = ", ".join(str(one.value) for one in kind)
        raise InvalidInputError(f"{key} is {word!r}, but it must be one of {words}.") from None


def flag(properties: Properties, key: str, default: bool = False) -> bool:
    """True for True, 1, 1.0, "1" and "true": the forms in which the runners hand over a 1."""
    value = properties.get(key)
    if value is None or value == "":
        return default
    if isinstance(value, str):
        value = {"true": 1, "false": 0}.get(value.lower(), value)
    number = whole({key: value}, key)
    if number not in (0, 1):
        raise InvalidInputError(f"The parameter `{key}` is {value!r}, but it must be 1 or 0.")
    return number == 1


def structure(properties: Properties, key: str, default: Any = None) -> Any:
    """A parameter that carries JSON; a runner that has decoded it already is fine as well."""
    value = properties.get(key)
    if value is None or value == "":
        return default
    if not isinstance(value, str):
        return value
    return parse_json(value, f"The parameter `{key}`")


def table(properties: Properties, key: str) -> dict[str, Any]:
    found = structure(properties, key, {})
    if not isinstance(found, Mapping):
        raise InvalidInputError(f'The parameter `{key}` must be a JSON object, such as {{"units": 32}}.')
    return dict(found)


def json_text(value: Any) -> str | None:
    """A structure as a parameter, the same text for the same value; None for one that is empty."""
    return json.dumps(value, sort_keys=True, allow_nan=False) if value else None


def run_of(properties: Properties, context: Any | None) -> PipelineRun:
    """Kubeflow and Vertex put the run's id into a parameter; the local runner tells the executor."""
    run = text(properties, RUN)
    if run and run != RUN_ID:
        return PipelineRun(id=run)
    info = context.pipeline_info if context is not None else None
    return PipelineRun(
        id=(context.pipeline_run_id or None) if context is not None else None,
        pipeline=(info.id or None) if info is not None else None,
    )


@contextlib.contextmanager
def open_workspace(properties: Properties) -> Iterator[Workspace]:
    """The registry that the parameters name, else the environment. Never makes one: a typo in an address
    would silently create an empty registry, in which every model is the first."""
    address, store = (without_secret(key, text(properties, key)) or None for key in (REGISTRY, STORE))
    found = settings.load(registry=address, store=store, actor=text(properties, ACTOR) or None)
    with connect(found.registry, actor=found.actor_at_registry, store=found.store) as workspace:
        yield workspace
