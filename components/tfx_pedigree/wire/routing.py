"""From a method and a path to an operation. Parts of a path are compared as they came: `%2F` divides nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from tfx_pedigree.wire.operation import Operation


@dataclass
class _Step:
    fixed: dict[str, _Step] = field(default_factory=dict)
    any: _Step | None = None
    operations: dict[str, tuple[Operation, tuple[str, ...]]] = field(default_factory=dict)


@dataclass(frozen=True)
class Found:
    operation: Operation
    segments: Mapping[str, str]


class Router:
    """A fixed part is tried before one that may be anything."""

    def __init__(self, operations: Iterable[Operation]) -> None:
        self._root = _Step()
        for operation in operations:
            self._add(operation)

    def _add(self, operation: Operation) -> None:
        step, names = self._root, []
        for part in operation.path.strip("/").split("/"):
            if part.startswith("{"):
                names.append(part.strip("{}"))
                step.any = step.any or _Step()
                step = step.any
            else:
                step = step.fixed.setdefault(part, _Step())
        if operation.method in step.operations:
            raise ValueError(f"Two operations are at {operation.method} {operation.path}.")
        step.operations[operation.method] = operation, tuple(names)

    def find(self, method: str, path: str) -> Found | frozenset[str]:
        """The operation, or the methods that this path knows instead: none where there is no such path."""
        values: list[str] = []
        step = self._walk(self._root, path.removeprefix("/").split("/"), values)
        if step is None:
            return frozenset()
        found = step.operations.get("GET" if method == "HEAD" else method)
        return Found(found[0], dict(zip(found[1], values, strict=True))) if found else frozenset(step.operations)

    def _walk(self, step: _Step, parts: list[str], values: list[str]) -> _Step | None:
        for part in parts:
            next_step = step.fixed.get(part)
            if next_step is None:
                if step.any is None:
                    return None
                values.append(part)
                next_step = step.any
            step = next_step
        return step
