"""A version as TensorBoard shows one: a session of the HParams plugin with its metrics, as an event file.

It lies in `LOGDIR/pedigree/MODEL@VERSION/`, is written without TensorFlow, and is the same to the byte each time.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

from tfx_pedigree.errors import UnavailableError
from tfx_pedigree.integrations.trackers.event_files import HPARAMS, START_TAG, VERSIONS
from tfx_pedigree.registry import Version
from tfx_pedigree.rollout.traffic.files import write_whole
from tfx_pedigree.versioning.tfrecord import framed
from tfx_pedigree.versioning.wire_writing import double, number, run, single

_EXPERIMENT_TAG = "_hparams_/experiment"
_END_TAG = "_hparams_/session_end_info"
_STRING, _BOOL, _FLOAT64 = 1, 2, 3
_SUCCESS = 1
_DT_FLOAT = 1
# An empty vector of floats: what the plugin takes for a value that only carries metadata.
_NOTHING = run(8, number(1, _DT_FLOAT) + run(2, run(2, b"")))

Value = bool | int | float | str


def write_version(logdir: Path, version: Version, address: str) -> Path:
    """The event file. UnavailableError where nothing can be written."""
    file = logdir / VERSIONS / f"{version.model}@{version.version}"
    # TensorBoard reads the files of a folder in the order of their names.
    file = file / f"events.out.tfevents.{int(version.created_at.timestamp())}.pedigree"
    content = version_events(version, address)
    try:
        if file.is_file() and file.read_bytes() == content:
            return file
    except OSError as error:
        raise UnavailableError(f"{file} cannot be read: {error.strerror}.") from error
    write_whole(file, content)
    return file


def version_events(version: Version, address: str) -> bytes:
    moment = version.created_at.timestamp()
    hparams: dict[str, Value] = {
        name: value for name, value in version.parameters.items() if isinstance(value, bool | int | float | str)
    }
    hparams |= {"pedigree.version": f"{version.model}@{version.version}", "pedigree.digest": version.digest}
    hparams["pedigree.address"] = address
    metrics = {name: float(value) for name, value in version.metrics.items()}
    events = [
        run(3, "brain.Event:2"),
        _summary(_plugin_value(_EXPERIMENT_TAG, run(2, _experiment(hparams, metrics, moment)))),
        _summary(_plugin_value(START_TAG, run(3, _start(hparams, version, moment)))),
        *(_summary(run(1, name) + single(2, _fitting(value))) for name, value in sorted(metrics.items())),
        _summary(_plugin_value(_END_TAG, run(4, number(1, _SUCCESS) + double(2, moment)))),
    ]
    return b"".join(framed(double(1, moment) + event) for event in events)


def _summary(value: bytes) -> bytes:
    return run(5, run(1, value))


def _plugin_value(tag: str, data: bytes) -> bytes:
    """A summary value whose metadata is the plugin's data."""
    return run(1, tag) + _NOTHING + run(9, run(1, run(1, HPARAMS) + run(2, data)))


def _experiment(hparams: Mapping[str, Value], metrics: Mapping[str, float], moment: float) -> bytes:
    rows = b"".join(run(4, run(1, name) + number(4, _type_of(value))) for name, value in sorted(hparams.items()))
    names = b"".join(run(5, run(1, run(2, name)) + run(3, name)) for name in sorted(metrics))
    return double(3, moment) + rows + names


def _start(hparams: Mapping[str, Value], version: Version, moment: float) -> bytes:
    rows = b"".join(run(1, run(1, name) + run(2, _value(value))) for name, value in sorted(hparams.items()))
    return rows + run(4, f"{version.model}@{version.version}") + double(5, moment)


def _type_of(value: Value) -> int:
    if isinstance(value, bool):
        return _BOOL
    return _STRING if isinstance(value, str) else _FLOAT64


def _value(value: Value) -> bytes:
    """google.protobuf.Value."""
    if isinstance(value, bool):
        return b"\x20\x01" if value else b"\x20\x00"
    return run(3, value) if isinstance(value, str) else double(2, float(value))


def _fitting(value: float) -> float:
    """Single precision is what TensorBoard keeps; what is larger is infinite there."""
    return math.copysign(math.inf, value) if math.isfinite(value) and abs(value) > 3.4e38 else value
