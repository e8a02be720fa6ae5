"""Which spans the data hold, and which of them are whole: on a disk and on a file system of fsspec."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import fsspec
import fsspec.implementations.memory
import pytest

from tfx_pedigree.errors import InvalidInputError, NotFoundError, UnavailableError
from tfx_pedigree.retraining.spans import SpanPattern, Spans, look

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=timezone.utc)
Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write_file(name: str, age: timedelta = timedelta(hours=1)) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
        os.utime(path, times=((NOW - age).timestamp(),) * 2)
        return path

    return write_file


def found(tmp_path: Path, pattern: str, after: int | None = None, **settings: str) -> Spans:
    marker = {"marker": f"{tmp_path}/{settings.pop('marker')}"} if "marker" in settings else {}
    return look(SpanPattern.of({"pattern": f"{tmp_path}/{pattern}", **marker, **settings}), NOW, after)


def test_spans_are_found_by_number_and_not_by_name(write: Write, tmp_path: Path) -> None:
    for span in (10, 9, 2):
        write(f"data/span-{span}/train/a.csv")
    write("data/span-x/train/a.csv")
    write("data/.unfinished-3/train/a.csv")
    (tmp_path / "data/span-11/train/folder.csv").mkdir(parents=True)
    assert found(tmp_path, "data/span-{SPAN}/train/*.csv").whole == (2, 9, 10)


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("span-{SPAN}.csv", ("span-7.csv", "span-7.csv.tmp")),
        ("span-{SPAN:4}/*", ("span-0007/a", "span-8/a")),
        ("*/day{SPAN}x/**", ("a/day7x/b/c/d", "a/day7y/b")),
        ("x/../span-{SPAN}/*", ("span-7/a", "x/b")),
        ("[s]pan-{SPAN}/a?.csv", ("span-7/ab.csv", "span-8/a.csv")),
    ],
)
def test_pattern_may_be_all_that_a_file_pattern_can_be(
    write: Write, tmp_path: Path, pattern: str, names: tuple[str, ...]
) -> None:
    for name in names:
        write(name)
    assert found(tmp_path, pattern).whole == (7,)


def test_span_that_is_still_written_waits_and_so_do_those_after_it(write: Write, tmp_path: Path) -> None:
    write("span-1/a")
    write("span-2/a", timedelta(hours=2))
    write("span-2/b", timedelta(minutes=4))
    write("span-3/a")
    spans = found(tmp_path, "span-{SPAN}/*")
    assert spans.whole == (1,)
    assert spans.unfinished == "span 2 may not be complete yet: it changed 4 minutes ago, less than 5 minutes"
    assert spans.waits == 2
    assert found(tmp_path, "span-{SPAN}/*", settle="3m") == Spans((1, 2, 3))
    assert found(tmp_path, "span-{SPAN}/*", settle="0") == Spans((1, 2, 3))


def test_marker_tells_what_is_whole_whenever_it_was_written(write: Write, tmp_path: Path) -> None:
    for span in (1, 2, 3):
        write(f"span-{span}/a", timedelta(0))
    for span in (1, 3):
        write(f"span-{span}/_SUCCESS", timedelta(0))
    spans = found(tmp_path, "span-{SPAN}/a", marker="span-{SPAN}/_SUCCESS")
    assert spans.whole == (1,)
    assert spans.unfinished == f"span 2 is not complete yet: there is no {tmp_path}/span-2/_SUCCESS"


def test_span_that_was_trained_on_is_not_asked_whether_it_is_whole(write: Write, tmp_path: Path) -> None:
    write("span-1/a", timedelta(0))
    write("span-2/a")
    assert found(tmp_path, "span-{SPAN}/*", after=1) == Spans((1, 2))


def test_no_span_at_all_is_more_likely_a_wrong_pattern_and_is_said(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="There is no span at .*nowhere"):
        found(tmp_path, "nowhere/span-{SPAN}/*")


def test_spans_in_a_bucket_are_found_like_those_on_a_disk() -> None:
    memory = fsspec.filesystem("memory")
    memory.pipe({"/bucket/span-1/a": b"x", "/bucket/span-2/a": b"x"})
    try:
        pattern = SpanPattern("memory://bucket/span-{SPAN}/*")
        later = datetime.now(timezone.utc) + timedelta(minutes=6)
        assert look(pattern, later) == Spans((1, 2))
        assert look(pattern, later - timedelta(minutes=3)).whole == ()
    finally:
        memory.rm("/bucket", recursive=True)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({}, "does not say where the spans of the data are"),
        ({"pattern": "data/*"}, "must have {SPAN} once"),
        ({"pattern": "{SPAN}/{SPAN}"}, "must have {SPAN} once"),
        ({"pattern": "**/span-{SPAN}/*"}, "no \\*\\* before it"),
        ({"pattern": "{YYYY}-{MM}-{DD}/*"}, "Spans are numbered by {SPAN} only"),
        ({"pattern": "span-{SPAN}/*", "marker": "done"}, "must have {SPAN} once"),
        ({"pattern": "span-{SPAN}/*", "settle": "a while"}, "Write 90s, 5m, 2h or 0"),
    ],
)
def test_table_that_is_wrong_says_what_would_be_right(given: dict[str, str], says: str) -> None:
    with pytest.raises(InvalidInputError, match=says):
        SpanPattern.of(given)


def test_links_are_what_they_lead_to(write: Write, tmp_path: Path) -> None:
    """As they are for TFX. A link that leads nowhere is nothing, and the age is the file's, not the link's."""
    for name in ("elsewhere/a", "elsewhere/b", "span-1/a", "span-2/own"):
        write(name)
    (tmp_path / "span-2/a").symlink_to(tmp_path / "nowhere")
    (tmp_path / "span-3").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    (tmp_path / "span-4").mkdir()
    (tmp_path / "span-4/a").symlink_to(tmp_path / "elsewhere/a")
    assert found(tmp_path, "span-{SPAN}/*") == Spans((1, 2, 3, 4))
    assert found(tmp_path, "span-{SPAN}/a", settle="0") == Spans((1, 3, 4))


def test_span_that_may_not_be_read_is_not_passed_over(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the next one would be trained before it. Another folder that may not be read is nothing to them."""
    for name in ("span-1/a", "span-2/a", "span-3/a", "lost+found/a"):
        write(name)
    scandir, closed = os.scandir, {str(tmp_path / "lost+found")}

    def refusing(path: str) -> Any:
        if str(path).rstrip("/") in closed:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)
    assert found(tmp_path, "span-{SPAN}/*") == Spans((1, 2, 3))
    closed.add(str(tmp_path / "span-2"))
    with pytest.raises(UnavailableError, match=r"Span 2 cannot be looked at: .*/span-2 cannot be read\. Give the user"):
        found(tmp_path, "span-{SPAN}/*")
    # What was trained on may be closed: nobody needs it any more.
    assert found(tmp_path, "span-{SPAN}/*", after=2) == Spans((1, 2, 3))


def test_bucket_that_cannot_be_reached_is_no_bug_and_its_address_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    from botocore.exceptions import NoCredentialsError

    def refused(*_: object, **__: object) -> None:
        raise NoCredentialsError

    monkeypatch.setattr(fsspec.implementations.memory.MemoryFileSystem, "glob", refused)
    with pytest.raises(UnavailableError, match=r"memory://b/span-.* Unable to locate credentials\. Check the address"):
        look(SpanPattern("memory://b/span-{SPAN}/*"), NOW)


def test_unknown_kind_of_place_says_what_is_missing() -> None:
    with pytest.raises(UnavailableError, match="cannot be looked at"):
        look(SpanPattern("nosuchthing://bucket/span-{SPAN}/*"), NOW)
