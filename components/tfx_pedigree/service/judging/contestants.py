"""Who the two versions of a comparison are: from version.json and what is known of the champion to its sides.

Of the champion an artifact tells name and bytes. How it was made stands in version.json under `champion`, if the
Versioner put it there. What is not known of one side is not compared, or everything would seem to have changed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from tfx_pedigree.comparison import Code, Data, Earlier, Past, Side, read_earlier
from tfx_pedigree.comparison.config_reader import from_data
from tfx_pedigree.versioning import ModelDescription

UNKNOWN = "of unknown version"
NOT_RECORDED = (
    "version.json does not say how the champion was made: parameters, data, code and transform graph are not compared"
)
NO_DESCRIPTION = "the champion's SavedModel cannot be described: interface and architecture are not compared"


@dataclass(frozen=True)
class Contestants:
    """Both versions, with descriptions in which only what is known of both stands. `notes` say what is left out.

    `unconnected` is the champion that version.json knows of, where none was given to compare with. `earlier` are the
    slices that the champion was judged on, `past` what was decided about the model before: None in a version.json of an
    older release.
    """

    model: str
    challenger: Side
    champion: Side | None
    challenger_description: ModelDescription | None
    champion_description: ModelDescription | None
    notes: tuple[str, ...] = ()
    unconnected: str | None = None
    earlier: Earlier = field(default_factory=dict)
    past: Past | None = None


@dataclass(frozen=True)
class GivenChampion:
    """What the champion's artifact tells. `describe` reads its files; None if they cannot be described."""

    digest: str
    size: int
    version: str | None
    describe: Callable[[], ModelDescription | None]


def contestants(record: Mapping[str, Any], champion: GivenChampion | None) -> Contestants:
    """`record` is version.json."""
    challenger, description = _side(record), _description(record)
    if champion is None:
        named = (record["champion"] or {}).get("version")
        return Contestants(record["model"], challenger, None, description, None, unconnected=named)
    known = _record_of(champion, record)
    rival = _side(known)
    theirs = _description(known)
    notes: list[str] = []
    if theirs is None:
        notes.append(NOT_RECORDED)
        description, theirs = _bare(description), champion.describe()
        challenger, rival = replace(challenger, parameters={}), replace(rival, parameters={})
        if theirs is None:
            notes.append(NO_DESCRIPTION)
    earlier = read_earlier(from_data(known.get("slices") or [], "the champion's `slices` in version.json"))
    past = Past.from_json(record["past"], "`past` of version.json") if record.get("past") is not None else None
    told = record["model"], challenger, rival, description, theirs, tuple(notes)
    return Contestants(*told, earlier=earlier, past=past)


def _record_of(champion: GivenChampion, record: Mapping[str, Any]) -> dict[str, Any]:
    """What is known of the champion that this run evaluated against; the artifact names it, version.json adds."""
    written = record if record["digest"] == champion.digest else record.get("champion") or {}
    known = dict(written) if written.get("digest") == champion.digest else {}
    version = champion.version or known.get("version") or UNKNOWN
    return {"size": champion.size, **known, "digest": champion.digest, "version": version}


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
