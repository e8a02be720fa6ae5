"""Versions: what changed between two models, and which number the new one gets.

In: a model's files (or descriptions of them) and what the user asked for. Out: a description, a change with
its reasons, a number, and on request git tags. Never: TensorFlow, the registry's database, a network, a push.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from tfx_pedigree.versioning.bump import Bump
from tfx_pedigree.versioning.compare import Change, compare
from tfx_pedigree.versioning.decision import Decision, Request, decide
from tfx_pedigree.versioning.description import ModelDescription, Signature, TensorSpec, Variable
from tfx_pedigree.versioning.numbers import higher, next_version, parse_version, timestamp_tag

if TYPE_CHECKING:
    from tfx_pedigree.versioning.git_diff import GitDiff, capture_diff
    from tfx_pedigree.versioning.git_names import Stamp, VersionPointer
    from tfx_pedigree.versioning.git_state import GitState, capture_git
    from tfx_pedigree.versioning.git_tags import GitTags
    from tfx_pedigree.versioning.saved_model import describe, describe_files

__all__ = [
    "Bump",
    "Change",
    "Decision",
    "GitDiff",
    "GitState",
    "GitTags",
    "ModelDescription",
    "Request",
    "Signature",
    "Stamp",
    "TensorSpec",
    "Variable",
    "VersionPointer",
    "capture_diff",
    "capture_git",
    "compare",
    "decide",
    "describe",
    "describe_files",
    "higher",
    "next_version",
    "parse_version",
    "timestamp_tag",
]

_LATER = {
    "GitDiff": "git_diff",
    "GitState": "git_state",
    "GitTags": "git_tags",
    "Stamp": "git_names",
    "VersionPointer": "git_names",
    "capture_diff": "git_diff",
    "capture_git": "git_state",
    "describe": "saved_model",
    "describe_files": "saved_model",
}


def __getattr__(name: str) -> Any:
    """What runs git or reads models is imported when it is asked for."""
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_LATER[name]}"), name)
