"""The response log, as whoever serves writes it: one JSON object a line for each answered request, or TensorFlow
Serving's own records (`PredictionLog` in a TFRecord file). Which of both it is, its beginning shows.

    {"version": "1.2.0", "id": "7f3a", "outputs": {"late": 0.81}}

`version` is the version's number, its digest or its sequence; `id` the request's, the same for a mirrored copy and its
original; `outputs` the answer. Other fields are passed over. What is none of this counts as none. The file is read on
from where it was, and only so much of it a look.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tfx_pedigree.bounded_parse import open_regular, parse_json
from tfx_pedigree.errors import InvalidInputError, UnavailableError
from tfx_pedigree.json_form import Bounds, JsonForm
from tfx_pedigree.rollout.answers import Answered
from tfx_pedigree.rollout.pairing import LONGEST_ID, LoggedAnswer, Pairs
from tfx_pedigree.rollout.prediction_log import logged_answer
from tfx_pedigree.versioning import tfrecord

MOST_AT_ONCE = 4 << 20
LONGEST_LINE = 256 << 10

Whole = Annotated[int, Bounds(0, 2**63)]


@dataclass(frozen=True)
class LogPosition(JsonForm):
    """How far a file was read, and which one it was: a new one under the same name is read from its beginning."""

    file: Whole
    offset: Whole


@dataclass(frozen=True)
class ResponseLog:
    """`models` are the names that the model has at its servers, which records of TensorFlow Serving tell."""

    path: Path
    models: Collection[str]

    def read(self, position: LogPosition | None) -> tuple[list[LoggedAnswer], LogPosition]:
        """The answers that came since, and where to go on; without a position none, and the file's end."""
        try:
            file = open_regular(self.path)
        except OSError as error:
            raise UnavailableError(f"The response log {self.path} cannot be read: {error.strerror}.") from None
        with file:
            found = os.fstat(file.fileno())
            if position is None:
                return [], LogPosition(found.st_ino, found.st_size)
            begin = position.offset if position.file == found.st_ino and position.offset <= found.st_size else 0
            is_records = tfrecord.length_at(file.read(tfrecord.HEAD.size), 0) is not None
            file.seek(begin)
            data = file.read(MOST_AT_ONCE)
        if is_records:
            records, end = tfrecord.cut(data, found.st_size - begin, LONGEST_LINE)
            answers = [logged_answer(record, self.models) for record in records]
        else:
            lines, end = _lines(data)
            answers = [_answer(line) for line in lines]
        return [one for one in answers if one is not None], LogPosition(found.st_ino, begin + end)


class AnswerReader:
    """A log, and what of it is still to be paired."""

    def __init__(self, log: ResponseLog, pairs: Pairs) -> None:
        self._log = log
        self._pairs = pairs

    def read(self, position: LogPosition | None) -> tuple[Answered, LogPosition]:
        logged, after = self._log.read(position)
        return self._pairs.fed(logged), after


def _lines(data: bytes) -> tuple[list[bytes], int]:
    end = data.rfind(b"\n") + 1
    if not end and len(data) == MOST_AT_ONCE:
        end = len(data)  # one line without an end: nothing of it is kept
    return [line for line in data[:end].split(b"\n") if line.strip() and len(line) <= LONGEST_LINE], end


def _answer(line: bytes) -> LoggedAnswer | None:
    try:
        found = parse_json(line, "a line of the response log", words=True)
    except InvalidInputError:
        return None
    if not isinstance(found, Mapping) or "outputs" not in found:
        return None
    version, request = found.get("version"), found.get("id")
    if isinstance(version, bool) or not isinstance(version, str | int):
        return None
    known = isinstance(request, str) and 0 < len(request) <= LONGEST_ID
    return LoggedAnswer(str(version), request if known else None, found["outputs"])
