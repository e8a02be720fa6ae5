"""What is written into git for a version or a promotion: the names of tags, the pointer file, the stamp. All pure."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tfx_pedigree.bounded_parse import parse_json
from tfx_pedigree.digest import check_digest
from tfx_pedigree.errors import InvalidInputError
from tfx_pedigree.versioning.git_state import GitState
from tfx_pedigree.versioning.numbers import parse_version

POINTER_FORMAT = "pedigree.version-pointer/1"
EVENT = "Pedigree-Event: "
_MODEL = re.compile(r"[a-zA-Z0-9]([a-zA-Z0-9/_-]*[a-zA-Z0-9])?")
_STAGE = re.compile(r"[a-zA-Z0-9]([a-zA-Z0-9_-]*[a-zA-Z0-9])?")
_LONGEST = 200  # git makes a file of a tag's name, and for a moment adds `.lock`


def tag_name(model: str, version: str) -> str:
    """`flight-delay@v1.2.0`. Refuses what GTO or git's rules for references would not take as a name."""
    if not _MODEL.fullmatch(model) or "//" in model or len(model) > _LONGEST:
        raise InvalidInputError(
            f"The model name {model!r} cannot be part of a git tag that GTO reads: it may hold letters, digits, '-', "
            "'_' and single '/', and must begin and end with a letter or digit. Use another name, or no git tags."
        )
    name = f"{model}@v{parse_version(version)}"
    if len(name.rpartition("/")[2]) > _LONGEST:
        raise InvalidInputError(f"The git tag {name} would have more than {_LONGEST} characters. Use a shorter name.")
    return name


def stage_tag(model: str, stage: str, counter: int, *, ended: bool = False) -> str:
    """`flight-delay#production#3`, or `flight-delay#production!#4` when nothing is in that stage any more."""
    tag_name(model, "1.0.0")
    if not _STAGE.fullmatch(stage) or len(stage) > 50:
        raise InvalidInputError(f"{stage!r} cannot name a stage in a git tag. Use letters, digits, '-' and '_'.")
    return f"{model}#{stage}{'!' if ended else ''}#{counter}"


def withdrawn_tag(model: str, version: str) -> str:
    """`flight-delay@v1.2.0!`: GTO's way to say that the version is registered no more."""
    return tag_name(model, version) + "!"


def deprecated_tag(model: str) -> str:
    """`flight-delay@deprecated`: GTO's way to say that the whole model is out of use."""
    tag_name(model, "1.0.0")
    return f"{model}@deprecated"


@dataclass(frozen=True)
class VersionPointer:
    """What a repository keeps of a version: enough to find and check it in any store, and why it has its number."""

    model: str
    version: str
    sequence: int
    digest: str
    timestamp_tag: str = ""
    reasons: tuple[str, ...] = ()
    code: GitState | None = None

    def __post_init__(self) -> None:
        check_digest(self.digest)
        tag_name(self.model, self.version)

    @property
    def path(self) -> str:
        return f".pedigree/versions/{self.model}/{self.version}.json"

    @property
    def identity(self) -> tuple[str, str, int, str]:
        return self.model, self.version, self.sequence, self.digest

    def to_json(self) -> dict[str, Any]:
        return {
            "format": POINTER_FORMAT,
            "model": self.model,
            "version": self.version,
            "sequence": self.sequence,
            "digest": self.digest,
            "timestamp_tag": self.timestamp_tag,
            "reasons": list(self.reasons),
            "code": self.code.to_json() if self.code else None,
        }

    def to_bytes(self) -> bytes:
        return (json.dumps(self.to_json(), indent=2, ensure_ascii=False) + "\n").encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> VersionPointer:
        try:
            found = parse_json(data, "The version pointer")
            if found["format"] != POINTER_FORMAT:
                raise InvalidInputError(f"The version pointer has the format {found['format']!r}.")
            return cls(
                model=str(found["model"]),
                version=str(found["version"]),
                sequence=int(found["sequence"]),
                digest=str(found["digest"]),
                timestamp_tag=str(found["timestamp_tag"]),
                reasons=tuple(map(str, found["reasons"])),
                code=GitState.from_json(found["code"], "the git state") if found["code"] else None,
            )
        except (ValueError, KeyError, TypeError) as error:
            raise InvalidInputError(f"This is no version pointer of Pedigree: {error}.") from error


@dataclass(frozen=True)
class Stamp:
    """Who did it, when, and why. `event` identifies it, so that doing it again after a crash adds nothing."""

    actor: str
    when: datetime
    reason: str = ""
    event: str = ""

    def __post_init__(self) -> None:
        if self.when.tzinfo is None:
            raise InvalidInputError(f"{self.when.isoformat()} has no time zone. Give a time with a zone.")
        if any(mark in self.actor for mark in "<>\n\0") or not self.actor.strip():
            raise InvalidInputError(f"{self.actor!r} cannot name the author of a git tag: leave out '<' and '>'.")

    def message(self, title: str, *lines: str) -> str:
        """The text of a tag or commit. Whatever comes from people stays on one line, so that it fakes no event."""
        said = [_one_line(text) for text in (self.reason, *lines) if text]
        event = [f"\n{EVENT}{_one_line(self.event)}"] if self.event else []
        return "\n".join([_one_line(title), *([""] if said else []), *said, *event]) + "\n"


def _one_line(text: str) -> str:
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
