"""The digest of a compiled pipeline: the same for the same pipeline, whenever and wherever it was compiled.

`sha256:` of the canonical JSON of the PipelineSpec, in which `asked` is empty: Pedigree's components that talk to a
registry carry a new value there in each compilation. Not part of it: a job's display name, its labels, and the values
that one run was given.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tfx_pedigree.digest import canonical_json, digest_of

ASKED = "asked"
_VALUE = "runtimeValue"


def spec_digest(spec: Mapping[str, Any]) -> str:
    return digest_of(canonical_json(steady(spec)))


def steady(value: Any) -> Any:
    """A copy in which nothing differs from one compilation to the next."""
    if isinstance(value, Mapping):
        return {key: _unasked(item) if key == ASKED else steady(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [steady(item) for item in value]
    return value


def _unasked(value: Any) -> Any:
    """`asked` as a task's input. As the declaration of one it has no value and stays as it is."""
    if isinstance(value, Mapping) and isinstance(value.get(_VALUE), Mapping):
        return {**value, _VALUE: {"constant": ""}}
    return steady(value)
