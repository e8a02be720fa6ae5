"""What a component takes and gives, written once as tables: TFX's spec class follows from them, and so does a spec from
a component's arguments.

In a table a name that ends in `?` may be left out. Parameters that every component of ours has are not in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tfx.types import channel, system_executions
from tfx.types.component_spec import ChannelParameter, ComponentSpec, ExecutionParameter

from tfx_pedigree import __version__
from tfx_pedigree.tfx_components.parameters import (
    ACTOR,
    ADDRESSES,
    ASKED,
    LIBRARY,
    MODEL_NAME,
    REGISTRY,
    RUN,
    RUN_ID,
    STORE,
    json_text,
    without_secret,
)

Types = Mapping[str, type]

_REGISTRY: Types = {MODEL_NAME: str, f"{REGISTRY}?": str, f"{STORE}?": str, f"{ACTOR}?": str, ASKED: str, RUN: str}
# TFX's cache does not know the version of a component's code, so it is a parameter. `uncached` says what the others do.
_FILLED_IN = {LIBRARY: __version__, ASKED: "", RUN: RUN_ID}


def spec_class(
    name: str,
    *,
    outputs: Types,
    inputs: Types | None = None,
    parameters: Types | None = None,
    uses_registry: bool = True,
    annotation: type = system_executions.Process,
) -> Any:
    """`uses_registry`: the component has the parameters that name a registry, and asks or tells it."""
    every = {**(_REGISTRY if uses_registry else {}), LIBRARY: str, **(parameters or {})}
    tables = {
        "PARAMETERS": {key: ExecutionParameter(type=kind, optional=may) for key, kind, may in _read(every)},
        "INPUTS": {key: ChannelParameter(type=kind, optional=may) for key, kind, may in _read(inputs or {})},
        "OUTPUTS": {key: ChannelParameter(type=kind) for key, kind, _ in _read(outputs)},
        "TYPE_ANNOTATION": annotation,
    }
    return type(name, (ComponentSpec,), tables)


def _read(types: Types) -> list[tuple[str, type, bool]]:
    return [(key.removesuffix("?"), kind, key.endswith("?")) for key, kind in types.items()]


def filled(spec: Any, arguments: Mapping[str, Any]) -> Any:
    """A spec from arguments by name, of which others than the spec's are passed over, with a new channel for each
    output. What is left out stays out: Kubeflow has no None, and an empty text means the same."""
    values = {
        key: _value(key, one, arguments.get(key)) for key, one in spec.PARAMETERS.items() if key not in _FILLED_IN
    }
    return spec(
        **{key: value for key, value in values.items() if value is not None},
        **{key: value for key, value in _FILLED_IN.items() if key in spec.PARAMETERS},
        **{key: arguments.get(key) for key in spec.INPUTS},
        **{key: channel.Channel(type=one.type) for key, one in spec.OUTPUTS.items()},
    )


def _value(key: str, declared: Any, value: Any) -> Any:
    """Structures become JSON. What only the run knows stays as it is."""
    if isinstance(value, Mapping):
        return json_text(dict(value))
    if isinstance(value, list | tuple):
        return json_text(list(value))
    if isinstance(value, str):
        return (without_secret(key, value) if key in ADDRESSES else value) or None
    return float(value) if declared.type is float and isinstance(value, int) else value
