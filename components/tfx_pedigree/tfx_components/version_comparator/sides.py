"""Who the two versions are: from version.json and the champion's artifact to the comparison's sides. No TensorFlow.

Of the champion an artifact tells name and bytes. How it was made stands in version.json under `champion`, if the
Versioner put it there. What is not known of one side is not compared, or everything would seem to have changed.
"""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from tfx_pedigree.comparison import Code, Data, Side
from tfx_pedigree.errors import InvalidInputError
from tfx_pedigree.service.version_record import check_record
from tfx_pedigree.store import manifest_of
from tfx_pedigree.tfx_components import artifacts, files
from tfx_pedigree.versioning import ModelDescription, describe_files

UNKNOWN = "of unknown version"
NOT_RECORDED = (
    "version.json does not say how the champion was made: parameters, data, code and transform graph are not compared"
)
NO_DESCRIPTION = "the champion's SavedModel cannot be described: interface and architecture are not compared"


@dataclass(frozen=True)
class Contestants:
    """Both versions, with descriptions in which only what is known of both stands. `notes` say what is left out.

    `unconnected` is the champion that version.json knows of, where none was given to compare with.
    """

    model: str
    challenger: Side
    champion: Side | None
    challenger_description: ModelDescription | None
    champion_description: ModelDescription | None
    notes: tuple[str, ...] = ()
    unconnected: str | None = None


def contestants(version: Any, champion: Any | None) -> Contestants:
    """`version` is a ModelVersion artifact, `champion` a Model artifact; None or one marked as absent: no champion."""
    found = check_record(files.read_json(version.uri, artifacts.MODEL_VERSION_FILE), version.uri)
    challenger, description = _side(found), _description(found)
    if artifacts.is_absent(champion):
        named = (found["champion"] or {}).get("version")
        return Contestants(found["model"], challenger, None, description, None, unconnected=named)
    known = _record_of(champion, found)
    rival = _side(known)
    theirs = _description(known)
    notes: list[str] = []
    if theirs is None:
        notes.append(NOT_RECORDED)
        description, theirs = _bare(description), _described(champion)
        challenger, rival = replace(challenger, parameters={}), replace(rival, parameters={})
        if theirs is None:
            notes.append(NO_DESCRIPTION)
    return Contestants(found["model"], challenger, rival, description, theirs, tuple(notes))


def _record_of(champion: Any, found: Mapping[str, Any]) -> dict[str, Any]:
    """What is known of the champion that this run evaluated against; the artifact names it, version.json adds."""
    digest = champion.get_string_custom_property(artifacts.DIGEST) or _digest_of_files(champion)
    named = champion.get_string_custom_property(artifacts.VERSION)
    written = found if found["digest"] == digest else found.get("champion") or {}
    known = dict(written) if written.get("digest") == digest else {}
    return {"size": _size(champion), **known, "digest": digest, "version": named or known.get("version") or UNKNOWN}


def _digest_of_files(champion: Any) -> str:
    """A baseline that no ChampionProvider gave is known by its content, as every version is."""
    with files.local_folder(files.serving_folder(champion)) as folder:
        return manifest_of(folder).digest


def _size(champion: Any) -> int:
    folder = files.serving_folder(champion)
    return sum(files.size_of(posixpath.join(folder, name)) for name in files.list_files(folder))


def _described(champion: Any) -> ModelDescription | None:
    """None for files that are no SavedModel or a damaged one; loading it will tell which."""
    folder = files.serving_folder(champion)
    try:
        found = describe_files(lambda path: files.open_binary(posixpath.join(folder, path)), files.list_files(folder))
    except InvalidInputError:
        return None
    return None if found.is_opaque else found


def _bare(description: ModelDescription | None) -> ModelDescription | None:
    if description is None:
        return None
    return replace(description, parameters={}, transform_digest=None, schema_digest=None)


def _description(found: Mapping[str, Any]) -> ModelDescription | None:
    written = found.get("description")
    return ModelDescription.from_json(written) if written else None


def _side(found: Mapping[str, Any]) -> Side:
    return Side(
        found["version"],
        found["digest"],
        size_bytes=found.get("size"),
        parameters=found.get("parameters") or {},
        trained_on=_trained_on(found.get("data") or {}),
        code=_code(found.get("code")),
    )


def _trained_on(data: Mapping[str, Any]) -> tuple[Data, ...]:
    """The split `train` of each span, or all splits where none has that name."""
    found = []
    for examples in data.get("examples") or ():
        span, splits = examples.get("span") or None, examples.get("splits") or {}
        wanted = {"train": splits["train"]} if "train" in splits else splits
        found += [Data(name, span, one.get("fingerprint") or None, one.get("rows")) for name, one in wanted.items()]
    return tuple(found)


def _code(code: Mapping[str, Any] | None) -> Code | None:
    if not code or not code.get("commit"):
        return None
    return Code(code["commit"], code.get("remote"), code.get("dirty"))
