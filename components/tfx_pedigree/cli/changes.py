"""The answer of every command that changes one version: what happened, or that nothing had to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tfx_pedigree.cli import output

if TYPE_CHECKING:
    from tfx_pedigree.registry import Version, VersionChange


def answer(change: VersionChange, *, done: str, already: str, **more: Any) -> None:
    """In JSON: `changed`, `version` and what else the command knows."""
    text = done if change.changed else f"{already}; nothing changed."
    output.answer({"changed": change.changed, "version": change.version, **more}, lambda _: output.done(text))


def reference(version: Version) -> str:
    return f"{version.model}@{version.version}"
