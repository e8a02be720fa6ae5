"""Parameters of components: how they are declared, and what arrives of them on each runner.

TFX's local runner hands over what was written; Kubeflow knows no truth values or lists and turns numbers into floats.
An executor reads everything with the functions below and never looks at the runner.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

from tfx.types.component_spec import ExecutionParameter

from tfx_pedigree import __version__, settings
from tfx_pedigree.errors import InvalidInputError
from tfx_pedigree.registry import Registry

MODEL_NAME = "model_name"
REGISTRY = "registry"
STORE = "store"
ACTOR = "actor"
LIBRARY = "library"
ASKED = "asked"
RUN = "run"

# Kubeflow and Vertex put the run's id where a parameter is exactly this text; TFX's local runner leaves it alone.
RUN_ID = "{{$.pipeline_job_uuid}}"

Properties = Mapping[str, Any]


def optional_text() -> Any:
    return ExecutionParameter(type=str, optional=True)


def library_parameters() -> dict[str, Any]:
    """TFX's cache does not know the version of a component's code, so each of ours has it as a parameter."""
    return {LIBRARY: ExecutionParameter(type=str)}


def registry_parameters() -> dict[str, Any]:
    """What a component declares that talks to a registry. Its answer is asked for anew in every run."""
    return {
        MODEL_NAME: ExecutionParameter(type=str),
        **{key: optional_text() for key in (REGISTRY, STORE, ACTOR)},
        **library_parameters(),
        **{key: ExecutionParameter(type=str) for key in (ASKED, RUN)},
    }


def library_values() -> dict[str, Any]:
    return {LIBRARY: __version__}


def registry_values(model_name: str, registry: str | None, store: str | None, actor: str | None) -> dict[str, Any]:
    """Values for `registry_parameters`. What is left out comes from the executor's environment. `asking` says what
    `asked` and `run` are for."""
    places = {REGISTRY: without_secret(REGISTRY, registry), STORE: without_secret(STORE, store), ACTOR: actor}
    return {MODEL_NAME: model_name, **given(**places), **library_values(), ASKED: "", RUN: RUN_ID}


def given(**values: Any) -> dict[str, Any]:
    """Without what is not there: Kubeflow has no None, and an empty text means the same."""
    return {key: value for key, value in values.items() if value is not None and value != ""}


def without_secret(key: str, address: Any) -> Any:
    """Refuses a password: parameters are kept in clear text by every runner, in its metadata and its pages."""
    if isinstance(address, str) and settings.masked(open_address := address.replace(":@", "@", 1)) != open_address:
        raise InvalidInputError(
            f"The parameter `{key}` holds a password ({settings.masked(address)}), and parameters of a pipeline can be "
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
    try:
        return json.loads(value)
    except ValueError as error:
        raise InvalidInputError(f"The parameter `{key}` is no JSON: {error}.") from None


def table(properties: Properties, key: str) -> dict[str, Any]:
    found = structure(properties, key, {})
    if not isinstance(found, Mapping):
        raise InvalidInputError(f'The parameter `{key}` must be a JSON object, such as {{"units": 32}}.')
    return dict(found)


def json_text(value: Any) -> str | None:
    """A structure as a parameter, the same text for the same value; None for one that is empty."""
    return json.dumps(value, sort_keys=True, allow_nan=False) if value else None


@contextlib.contextmanager
def open_registry(properties: Properties) -> Iterator[Registry]:
    """The registry that the parameters name, else the environment. Never makes one: a slip of the pen in an address
    would otherwise begin a new history, in which every model is the first."""
    for key in (REGISTRY, STORE):
        without_secret(key, properties.get(key))
    found = settings.load(
        registry=text(properties, REGISTRY) or None,
        store=text(properties, STORE) or None,
        actor=text(properties, ACTOR) or None,
    )
    registry = Registry.open(found.registry, actor=found.actor, store=found.store)
    try:
        yield registry
    finally:
        registry.close()
