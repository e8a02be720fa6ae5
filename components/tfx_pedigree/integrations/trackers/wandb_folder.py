"""A run of Weights & Biases from its folder: the file `run-ID.wandb`, which W&B writes online and offline alike.

It is a log of protobuf records (wandb_internal.proto) in LevelDB's framing. W&B's own library need not be there.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tfx_pedigree.bounded_parse import parse_json
from tfx_pedigree.errors import InvalidInputError, NotFoundError
from tfx_pedigree.integrations.trackers.framing import leveldb_records
from tfx_pedigree.service.versions.tracked_run import LONGEST_NAME, Dataset, TrackedRun
from tfx_pedigree.text import plain
from tfx_pedigree.versioning.wire import Span, WireError, reading, whole

TRACKER = "wandb"
_HEADER = b":W&B\xe1\xbe\x00"
_FILE = re.compile(r"run-([A-Za-z0-9_.-]{1,128})\.wandb")
# In `Record`.
_HISTORY, _SUMMARY, _CONFIG, _ARTIFACT, _RUN = 2, 3, 4, 8, 17
# In the items of config, summary and history.
_KEY, _NESTED_KEY, _VALUE_JSON = 1, 2, 16
_MOST_FIELDS = 20_000_000
_MOST_NAMES = 20_000
_LARGEST_VALUE = 1 << 20


@dataclass
class _Found:
    run: str = ""
    entity: str = ""
    project: str = ""
    parameters: dict[str, Any] = field(default_factory=dict)
    history: dict[str, float] = field(default_factory=dict)
    summary: dict[str, float] = field(default_factory=dict)
    datasets: list[Dataset] = field(default_factory=list)


def read_folder(folder: Path) -> TrackedRun:
    """`folder` is the run's, such as wandb/offline-run-20261130_120000-1a2b3c4d, or its .wandb file."""
    file = _file_of(folder)
    with file.open("rb") as opened:
        if opened.read(len(_HEADER)) != _HEADER:
            raise InvalidInputError(f"{file} does not begin as a log of Weights & Biases does, so no run can be read.")
    found = _Found()
    try:
        with reading(_MOST_FIELDS):
            for record in leveldb_records(file, len(_HEADER)):
                _take(whole(record), found)
    except WireError as error:
        raise InvalidInputError(f"{file} holds a record that is none of Weights & Biases: {error}.") from error
    named = _FILE.fullmatch(file.name)
    metrics = {name: value for name, value in {**found.history, **found.summary}.items() if not name.startswith("_")}
    parameters = {name: value for name, value in found.parameters.items() if not name.startswith("_")}
    run = found.run or (named[1] if named else file.stem)
    address = _address(found, file)
    return TrackedRun.of(TRACKER, run, address, parameters=parameters, metrics=metrics, datasets=found.datasets)


def _file_of(folder: Path) -> Path:
    try:
        if folder.suffix == ".wandb" and folder.is_file():
            return folder
        files = sorted(one for one in folder.glob("run-*.wandb") if one.is_file())
    except (OSError, ValueError) as error:
        raise NotFoundError(f"There is no folder {plain(str(folder), 200)}: {error}.") from error
    if len(files) != 1:
        many = "holds several runs" if files else "holds no file run-*.wandb"
        raise NotFoundError(
            f"{plain(str(folder), 200)} {many}. Name the folder of one run, such as "
            "wandb:wandb/offline-run-20261130_120000-1a2b3c4d."
        )
    return files[0]


def _address(found: _Found, file: Path) -> str:
    """The page, where the file says on whose account it is; nothing says so of a run that was only kept here."""
    parts = found.entity, found.project, found.run
    if all(re.fullmatch(r"[\w.-]{1,128}", part) for part in parts):
        return f"https://wandb.ai/{found.entity}/{found.project}/runs/{found.run}"
    return str(file.parent.absolute())


def _take(record: Span, found: _Found) -> None:
    for number, value in record.fields():
        if not isinstance(value, Span):
            continue
        if number == _HISTORY:
            _numbers(value, found.history)
        elif number == _SUMMARY:
            _numbers(value, found.summary)
            for key in _removed(value):
                found.summary.pop(key, None)
        elif number == _CONFIG:
            _configure(value, found)
        elif number == _RUN:
            found.run, found.entity, found.project = (value.message(one).text() for one in (1, 2, 3))
            for config in value.messages(4):
                _configure(config, found)
        elif number == _ARTIFACT:
            _artifact(value, found)


def _configure(config: Span, found: _Found) -> None:
    for key, text in _items(config):
        found.parameters[key] = _json(text, key)
        _check_count(found.parameters)
    for key in _removed(config):
        found.parameters.pop(key, None)


def _numbers(record: Span, into: dict[str, float]) -> None:
    """The last value of each name counts. A value may be a table of them; what is no number is no metric."""
    for key, text in _items(record):
        for name, value in _flat(key, _json(text, key)):
            into[name] = value
        _check_count(into)


def _check_count(values: dict[str, Any]) -> None:
    if len(values) > _MOST_NAMES:
        raise InvalidInputError(f"The run holds more than {_MOST_NAMES:,} names of metrics or parameters.")


def _flat(name: str, value: Any) -> Iterator[tuple[str, float]]:
    if isinstance(value, dict):
        if "_type" not in value:
            for key, inner in value.items():
                yield from _flat(f"{name}.{key}", inner)
    elif value in ("NaN", "Infinity", "-Infinity"):
        yield name, float(value)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield name, float(value) if abs(value) < 1e300 else math.nan


def _items(record: Span) -> Iterator[tuple[str, Span]]:
    for item in record.messages(1):
        yield _name_of(item), item.message(_VALUE_JSON)


def _removed(record: Span) -> Iterator[str]:
    yield from (_name_of(item) for item in record.messages(2))


def _name_of(item: Span) -> str:
    nested = [one.text() for one in item.messages(_NESTED_KEY, 100, "names in one")]
    return ".".join(nested) or item.message(_KEY).text()


def _json(text: Span, key: str) -> Any:
    if text.stop == text.start:
        return None
    name = f"the value of {plain(key, LONGEST_NAME)!r}"
    return parse_json(text.raw(), name, largest=_LARGEST_VALUE, words=True)


def _artifact(artifact: Span, found: _Found) -> None:
    """What a run logs or uses as data; the digest is W&B's own."""
    kind, name, digest = (artifact.message(number).text() for number in (4, 5, 6))
    if "data" in kind.lower() and digest and len(found.datasets) < _MOST_NAMES:
        found.datasets.append(Dataset(name, digest, kind))
