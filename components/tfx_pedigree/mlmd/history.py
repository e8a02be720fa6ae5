"""What was read of a store, free of its protocol: the same whether it came from MLMD 1.16 or 1.21, a file or a server.

Only events that say what a pipeline did are kept: those of resolvers, which hand on what is there, and of outputs that
are still pending, are none of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

from google.protobuf import json_format

from tfx_pedigree.bounded_parse import parse_json
from tfx_pedigree.errors import InvalidInputError

# As ml_metadata.proto numbers them: DECLARED_OUTPUT, DECLARED_INPUT, INPUT and OUTPUT.
_INPUTS, _OUTPUTS = (2, 3), (1, 4)
_STATES = ("UNKNOWN", "NEW", "RUNNING", "COMPLETE", "FAILED", "CACHED", "CANCELED")
# Where TFX wraps what is neither a number nor a text.
_WRAPPED = "__value__"


@dataclass(frozen=True)
class Artifact:
    """`properties` are those of the type and the custom ones together."""

    id: int
    type: str
    uri: str = ""
    name: str = ""
    properties: Mapping[str, Any] = field(default_factory=dict)

    def text(self, name: str) -> str | None:
        """A property as text; whole numbers without a point, as some runners hand them back. Empty counts as none."""
        value = self.properties.get(name)
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        return None if value is None or value == "" else str(value)


@dataclass(frozen=True)
class Execution:
    id: int
    type: str
    state: str = "COMPLETE"
    name: str = ""
    created: int = 0
    properties: Mapping[str, Any] = field(default_factory=dict)

    @property
    def component(self) -> str:
        """`Trainer` of `tfx.components.trainer.component.Trainer`."""
        return self.type.rpartition(".")[2] or self.type

    @property
    def began(self) -> datetime:
        return moment(self.created)


@dataclass(frozen=True, order=True)
class Event:
    """`key` is the name of the component's input or output."""

    execution: int
    artifact: int
    is_output: bool
    key: str = ""


@dataclass(frozen=True)
class RecordedRun:
    """One run of a pipeline, as its runner calls it; `created` is in milliseconds."""

    name: str
    pipeline: str | None = None
    created: int = 0


@dataclass(frozen=True)
class History:
    """A piece of a store. `runs` gives the run of an execution, for those that belong to one. Executions outside
    `told` are there so that an artifact is known by what made it; their own story belongs to another piece."""

    artifacts: Mapping[int, Artifact] = field(default_factory=dict)
    executions: Mapping[int, Execution] = field(default_factory=dict)
    events: tuple[Event, ...] = ()
    runs: Mapping[int, RecordedRun] = field(default_factory=dict)
    told: frozenset[int] = frozenset()

    def __len__(self) -> int:
        return len(self.artifacts) + len(self.executions)


def artifact_of(message: Any) -> Artifact:
    return Artifact(message.id, message.type, message.uri, message.name, _properties(message))


def execution_of(message: Any) -> Execution:
    state = message.last_known_state
    return Execution(
        id=message.id,
        type=message.type,
        state=_STATES[state] if 0 <= state < len(_STATES) else _STATES[0],
        name=message.name,
        created=message.create_time_since_epoch,
        properties=_properties(message),
    )


def events_of(messages: Iterable[Any]) -> list[Event]:
    return [
        Event(one.execution_id, one.artifact_id, one.type in _OUTPUTS, _key(one))
        for one in messages
        if one.type in _INPUTS or one.type in _OUTPUTS
    ]


def moment(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, timezone.utc)


def _key(event: Any) -> str:
    return next((step.key for step in event.path.steps if step.HasField("key")), "")


def _properties(message: Any) -> dict[str, Any]:
    return {
        name: _value(value)
        for values in (message.properties, message.custom_properties)
        for name, value in values.items()
    }


def _value(value: Any) -> Any:
    kind = value.WhichOneof("value")
    if kind == "struct_value":
        found = json_format.MessageToDict(value.struct_value)
        return _unwrapped(found[_WRAPPED]) if set(found) == {_WRAPPED} else found
    if kind == "proto_value":
        return json_format.MessageToDict(value.proto_value) if not value.proto_value.type_url else None
    return getattr(value, kind) if kind else None


def _unwrapped(text: Any) -> Any:
    try:
        return parse_json(text, "The property", words=True)
    except (TypeError, InvalidInputError):
        return text
