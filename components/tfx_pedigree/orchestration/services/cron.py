"""Cron expressions of five fields, as a config writes them, and as each service wants them.

Checked here, since the services notice some mistakes late: Kubeflow takes an expression of five fields for one that
begins with seconds.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from tfx_pedigree.errors import InvalidInputError

_MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
_DAYS = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]
_LENGTHS = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_HINT = "Write five fields: minute, hour, day of the month, month, day of the week, as in '0 3 * * mon'."


@dataclass(frozen=True)
class _Field:
    name: str
    low: int
    high: int
    words: tuple[str, ...] = ()

    def checked(self, text: str, whole: str) -> str:
        return ",".join(self._part(part, whole) for part in text.split(","))

    def _part(self, part: str, whole: str) -> str:
        found = re.fullmatch(r"(\*|(\w+)(?:-(\w+))?)(?:/(\d+))?", part)
        if found is None:
            raise _refusal(whole, f"{part!r} is not a {self.name}")
        span, first, last, step = found.groups()
        if step is not None and not 1 <= int(step) <= self.high:
            raise _refusal(whole, f"the step of {part!r} must be from 1 to {self.high}")
        if first is not None:
            ends = [self._number(one, part, whole) for one in (first, last) if one is not None]
            if ends != sorted(ends):
                raise _refusal(whole, f"the {self.name} {part!r} ends before it begins")
            span = "-".join(map(str, ends))
            if step is not None and last is None:
                span = f"{span}-{self.high}"  # `5/15` is not read alike everywhere; `5-59/15` is
        return span if step is None else f"{span}/{int(step)}"

    def _number(self, text: str, part: str, whole: str) -> int:
        if text.lower() in self.words:
            return self.words.index(text.lower()) + self.low
        if text.isascii() and text.isdigit() and self.low <= int(text) <= self.high:
            return int(text)
        raise _refusal(whole, f"{part!r} is not a {self.name} from {self.low} to {self.high}")


_FIELDS = (
    _Field("minute", 0, 59),
    _Field("hour", 0, 23),
    _Field("day of the month", 1, 31),
    _Field("month", 1, 12, tuple(_MONTHS)),
    _Field("day of the week", 0, 6, tuple(_DAYS)),
)


def checked_cron(text: str) -> str:
    """The expression in one form, with numbers for names; refuses what the services would not understand alike."""
    fields = text.split()
    if len(fields) == 6:
        raise _refusal(text, "it has six fields. Leave out the seconds")
    if len(fields) != len(_FIELDS):
        raise _refusal(text, f"it has {len(fields)} fields")
    # Sunday is 0 everywhere, and 7 only in some places.
    fields[-1] = ",".join("0" if part == "7" else part for part in fields[-1].split(","))
    checked = [field.checked(value, text) for field, value in zip(_FIELDS, fields, strict=True)]
    if _never(*checked[2:]):
        raise _refusal(text, "no month that it names has such a day")
    return " ".join(checked)


def _never(days: str, months: str, weekdays: str) -> bool:
    """Whether it means days like the 31st of April. With a day of the week, it means those days as well."""
    if weekdays != "*":
        return False
    first = min(int(part.partition("-")[0]) for part in _spans(days, 1))
    longest = max(_LENGTHS[month - 1] for part in _spans(months, 12) for month in _months(part))
    return first > longest


def _spans(field: str, whole: int) -> list[str]:
    return [f"1-{whole}" if part.startswith("*") else part.partition("/")[0] for part in field.split(",")]


def _months(span: str) -> range:
    first, _, last = span.partition("-")
    return range(int(first), int(last or first) + 1)


def with_seconds(cron: str) -> str:
    """Kubeflow's form, which begins with the second."""
    return f"0 {cron}"


def with_timezone(cron: str, timezone: str) -> str:
    """Vertex's form."""
    return f"CRON_TZ={timezone} {cron}"


def _refusal(text: str, problem: str) -> InvalidInputError:
    return InvalidInputError(f"The cron expression {text!r} cannot be used: {problem}. {_HINT}")
