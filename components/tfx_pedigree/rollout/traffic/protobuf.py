"""The few messages of Envoy's discovery service that are written here, byte by byte: neither protobuf nor a package of
Envoy's messages is needed, whose versions fit no line of TFX.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tfx_pedigree.versioning.wire import reading, whole
from tfx_pedigree.versioning.wire_writing import double, number, run

_PREFIX = "type.googleapis.com/"
RUNTIME = f"{_PREFIX}envoy.service.runtime.v3.Runtime"
RESOURCE = f"{_PREFIX}envoy.service.discovery.v3.Resource"
_MOST_FIELDS = 10_000

Value = str | float | Mapping[str, "Value"]


def any_of(type_url: str, message: bytes) -> bytes:
    return run(1, type_url) + run(2, message)


def duration(seconds: float) -> bytes:
    nanos = round(seconds * 1e9)
    return number(1, nanos // 1_000_000_000) + number(2, nanos % 1_000_000_000)


def struct_of(values: Mapping[str, Value]) -> bytes:
    """google.protobuf.Struct."""
    return b"".join(run(1, run(1, key) + run(2, _value(value))) for key, value in values.items())


def _value(value: Value) -> bytes:
    if isinstance(value, str):
        return run(3, value)
    if isinstance(value, Mapping):
        return run(5, struct_of(value))
    return double(2, value)


def runtime_resource(name: str, layer: Mapping[str, Value], seconds: float | None) -> bytes:
    """A runtime layer, wrapped: Envoy drops it after `seconds` by itself."""
    message = any_of(RUNTIME, run(1, name) + run(2, struct_of(layer)))
    ttl = b"" if seconds is None else run(6, duration(seconds))
    return any_of(RESOURCE, run(3, name) + run(2, message) + ttl)


def discovery_response(version: str, nonce: str, resources: list[bytes]) -> bytes:
    rows = b"".join(run(2, one) for one in resources)
    return run(1, version) + rows + run(4, RUNTIME) + run(5, nonce)


@dataclass(frozen=True)
class DiscoveryRequest:
    """What Envoy says: which resources it wants, which answer it took (`nonce`), or why it refused it (`error`)."""

    names: tuple[str, ...]
    nonce: str
    error: str | None

    @classmethod
    def of(cls, data: bytes) -> DiscoveryRequest:
        """`WireError` for what is no such message."""
        with reading(_MOST_FIELDS):
            span = whole(data)
            names = tuple(one.text() for one in span.messages(3, 100, "resources"))
            errors = [one.message(2).text() for one in span.messages(6, 10, "errors")]
            return cls(names, span.message(5).text(), errors[-1] if errors else None)
