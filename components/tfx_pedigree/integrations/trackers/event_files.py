"""A run from TensorBoard's event files: the last value of each scalar, and the hyperparameters of the HParams plugin.

Read without TensorFlow or TensorBoard, in both forms: `simple_value` of older writers, tensors of TensorFlow 2.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tfx_pedigree.errors import InvalidInputError, NotFoundError
from tfx_pedigree.integrations.trackers.framing import tfrecords
from tfx_pedigree.service.versions.tracked_run import TrackedRun
from tfx_pedigree.text import plain, plural
from tfx_pedigree.versioning.wire import Span, WireError, reading, signed, whole

TRACKER = "tensorboard"
# Versions are written into a folder of this name beside the run's own (`hparams`); they are no part of the run.
VERSIONS = "pedigree"
HPARAMS = "hparams"
START_TAG = "_hparams_/session_start_info"
# Stated in docs/limits.md.
MOST_FILES = 1_000
_MOST_ENTRIES = 100_000
_MOST_FIELDS = 50_000_000
_MOST_TAGS = 20_000
_SCALARS = "scalars"
_FLOAT, _DOUBLE = 1, 2
_INTEGERS = {3: "<i", 4: "<B", 5: "<h", 6: "<b", 9: "<q"}
# In `Event`, `Summary.Value`, `SummaryMetadata` and `TensorProto`.
_STEP, _SUMMARY = 2, 5
_TAG, _SIMPLE_VALUE, _TENSOR, _METADATA = 1, 2, 8, 9
_PLUGIN = 1
_DTYPE, _CONTENT = 1, 4
_VALUES = {_FLOAT: (5, "<f"), _DOUBLE: (6, "<d")}


@dataclass
class _Found:
    """`scalars` by their full name: the step, and the value at it."""

    scalars: dict[str, tuple[int, float]] = field(default_factory=dict)
    plugins: dict[str, str] = field(default_factory=dict)
    sessions: dict[str, dict[str, Any]] = field(default_factory=dict)


def read_logdir(logdir: Path) -> TrackedRun:
    files = _event_files(logdir)
    if not files:
        raise NotFoundError(f"There are no event files of TensorBoard in {plain(str(logdir), 200)}.")
    found = _Found()
    for file in files:
        where = file.parent.relative_to(logdir).as_posix()
        try:
            with reading(_MOST_FIELDS):
                for record in tfrecords(file):
                    if _take(whole(record.data), "" if where == "." else f"{where}/", found):
                        record.check()
        except (WireError, struct.error) as error:
            raise InvalidInputError(f"{file} holds a record that is no event of TensorBoard: {error}.") from error
    if len(found.sessions) > 1:
        raise InvalidInputError(
            f"{plain(str(logdir), 200)} holds the hyperparameters of {plural(len(found.sessions), 'run')}. Name the "
            f"folder of one of them, such as tensorboard:{logdir / sorted(found.sessions)[0].rstrip('/')}."
        )
    parameters = next(iter(found.sessions.values()), {})
    metrics = {name: value for name, (_, value) in found.scalars.items()}
    address = str(logdir.absolute())
    return TrackedRun.of(TRACKER, logdir.absolute().name, address, parameters=parameters, metrics=metrics)


def _event_files(logdir: Path) -> list[Path]:
    """Sorted, so that the later file of a folder is read later: their names begin with the time."""
    found, seen = [], 0
    for folder, folders, names in os.walk(str(logdir).replace("\0", "")):
        if Path(folder) == logdir and VERSIONS in folders:
            folders.remove(VERSIONS)
        folders.sort()
        seen += len(names) + len(folders)
        found += [Path(folder, name) for name in sorted(names) if "tfevents" in name]
        if len(found) > MOST_FILES or seen > _MOST_ENTRIES:
            raise InvalidInputError(
                f"{plain(str(logdir), 200)} holds more than {MOST_FILES:,} event files, or {_MOST_ENTRIES:,} "
                "other ones. Name the folder of one run."
            )
    return found


def _take(event: Span, prefix: str, found: _Found) -> bool:
    """Whether anything of it was used."""
    step, summaries = 0, []
    for number, value in event.fields():
        if number == _STEP and not isinstance(value, Span):
            step = signed(value)
        elif number == _SUMMARY and isinstance(value, Span):
            summaries.append(value)
    used = False
    for summary in summaries:
        for one in summary.messages(1):
            used |= _value(one, step, prefix, found)
    return used


def _value(value: Span, step: int, prefix: str, found: _Found) -> bool:
    parts: dict[int, Any] = dict(value.fields())
    tag = parts[_TAG].text() if isinstance(parts.get(_TAG), Span) else ""
    plugin, content = _plugin_of(parts.get(_METADATA))
    name = prefix + tag
    if plugin == HPARAMS:
        return tag == START_TAG and _session(content, prefix, found)
    plugin = found.plugins.setdefault(name, plugin) if plugin else found.plugins.get(name, _SCALARS)
    if plugin != _SCALARS or not tag:
        return False
    number = _number(parts)
    if number is None:
        return False
    known = found.scalars.get(name)
    if known is None or step >= known[0]:
        found.scalars[name] = (step, number)
    if len(found.scalars) > _MOST_TAGS or len(found.plugins) > _MOST_TAGS:
        raise InvalidInputError(f"The event files hold more than {_MOST_TAGS:,} names.")
    return True


def _plugin_of(metadata: Any) -> tuple[str, Span | None]:
    if not isinstance(metadata, Span):
        return "", None
    plugin = metadata.message(_PLUGIN)
    return plugin.message(1).text(), plugin.message(2)


def _number(parts: dict[int, Any]) -> float | None:
    """None for what is not one number."""
    if isinstance(simple := parts.get(_SIMPLE_VALUE), int):
        return float(struct.unpack("<f", simple.to_bytes(8, "little")[:4])[0])
    if not isinstance(tensor := parts.get(_TENSOR), Span):
        return None
    dtype = tensor.number(_DTYPE)
    form = _VALUES[dtype][1] if dtype in _VALUES else _INTEGERS.get(dtype)
    content = tensor.message(_CONTENT).raw() if form else b""
    if form and len(content) == struct.calcsize(form):
        return float(struct.unpack(form, content)[0])
    values = list(_listed(tensor, *_VALUES[dtype])) if dtype in _VALUES and not content else []
    return values[0] if len(values) == 1 else None


def _listed(tensor: Span, field_number: int, form: str) -> Iterator[float]:
    """A number's field may be packed, or stand by itself."""
    size = struct.calcsize(form)
    for number, value in tensor.fields():
        if number != field_number:
            continue
        raw = value.raw() if isinstance(value, Span) else value.to_bytes(8, "little")[:size]
        if len(raw) != size:
            return
        yield float(struct.unpack(form, raw)[0])


def _session(content: Span | None, prefix: str, found: _Found) -> bool:
    """The hyperparameters in a `HParamsPluginData`: a map from names to google.protobuf.Value."""
    if content is None:
        return False
    values: dict[str, Any] = {}
    for entry in content.message(3).messages(1, _MOST_TAGS, "hyperparameters"):
        values[entry.message(1).text()] = _plain(entry.message(2))
    found.sessions[prefix] = values
    return True


def _plain(value: Span) -> Any:
    """Numbers, texts and truth values; a list or a table is no hyperparameter there."""
    for number, one in value.fields():
        if number == 2 and isinstance(one, int):
            return struct.unpack("<d", one.to_bytes(8, "little"))[0]
        if number == 3 and isinstance(one, Span):
            return one.text()
        if number == 4 and isinstance(one, int):
            return bool(one)
    return None
