"""Which spans lie in the data, and which of them are whole. Reads names and times, never what a file holds.

Law: a span that is still being written is never given out, and neither is one after it: spans are trained in order.
"""

from __future__ import annotations

import contextlib
import fnmatch
import re
import stat
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from tfx_pedigree.errors import InvalidInputError, NotFoundError, UnavailableError
from tfx_pedigree.extras import install_command
from tfx_pedigree.retraining.rules import in_words, read_time

SETTLE = timedelta(minutes=5)
# What TFX writes into a pattern; a width counts the digits of a number that is filled up with zeros.
_SPAN = re.compile(r"\{SPAN(?::(\d+))?\}")
_OTHERS = re.compile(r"\{(VERSION|YYYY|MM|DD)\b")
_CLOSED = "closed"
# What the file systems of fsspec call the time of the last change.
_CHANGED = ("mtime", "updated", "LastModified", "last_modified", "created")


@dataclass(frozen=True)
class SpanPattern:
    """`pattern` names all files of a span, `marker` the one that is written last. Without a marker a span is whole
    when none of its files has changed for `settle`."""

    pattern: str
    marker: str | None = None
    settle: timedelta = SETTLE

    def __post_init__(self) -> None:
        for text in (self.pattern, *([self.marker] if self.marker else [])):
            if other := _OTHERS.search(text):
                raise InvalidInputError(
                    f"`pipeline.spans`: {text!r} has {other[0]}}}. Spans are numbered by {{SPAN}} only."
                )
            if len(_SPAN.findall(text)) != 1 or "**" in text.partition("{SPAN")[0]:
                raise InvalidInputError(
                    f"`pipeline.spans`: {text!r} must have {{SPAN}} once, and no ** before it, as in "
                    "data/span-{SPAN}/train/*."
                )

    @classmethod
    def of(cls, given: Mapping[str, str]) -> SpanPattern:
        """From the config's table."""
        if not given.get("pattern"):
            raise InvalidInputError(
                "The config does not say where the spans of the data are. Give its section `pipeline:` a table "
                "`spans` with a `pattern`, such as ${data}/span-{SPAN}/train/*."
            )
        marker, settle = given.get("marker"), SETTLE
        if "settle" in given:
            read = timedelta(0) if given["settle"].strip() == "0" else read_time(given["settle"])
            if read is None:
                raise InvalidInputError(f"`pipeline.spans.settle` is {given['settle']!r}. Write 90s, 5m, 2h or 0.")
            settle = read
        return cls(given["pattern"], marker, settle)


@dataclass(frozen=True)
class Spans:
    """`whole` are the numbers of the spans that can be trained on, rising. `unfinished` says which is the first that
    cannot yet, and why; `waits` is its number."""

    whole: tuple[int, ...]
    unfinished: str | None = None
    waits: int | None = None


def look(pattern: SpanPattern, now: datetime, after: int | None = None) -> Spans:
    """All spans with a number; of those above `after`, only the ones before the first that is not whole."""
    files = _matches(pattern.pattern)
    if not files:
        raise NotFoundError(f"There is no span at {pattern.pattern}. Wait for the first, or correct the pattern.")
    marks = _matches(pattern.marker) if pattern.marker else None
    marked = None if marks is None else {span for span, all_of in marks.items() if not any(map(_closed, all_of))}
    whole: list[int] = []
    for span in sorted(files):
        if after is None or span > after:
            problem = _unfinished(pattern, span, files[span], marked, now)
            if problem:
                return Spans(tuple(whole), problem, span)
        whole.append(span)
    return Spans(tuple(whole))


def files_of_span(pattern: SpanPattern, span: int | None) -> tuple[int | None, list[str]]:
    """The files of a span, sorted; of the newest where none is named."""
    found = _matches(pattern.pattern)
    span = max(found, default=None) if span is None else span
    return span, sorted(str(one["name"]) for one in found.get(span, ()) if "name" in one) if span is not None else []


def _unfinished(
    pattern: SpanPattern, span: int, files: Iterable[Mapping[str, Any]], marked: set[int] | None, now: datetime
) -> str | None:
    if folder := next(filter(None, map(_closed, files)), None):
        raise UnavailableError(
            f"Span {span} cannot be looked at: {folder} cannot be read. Give the user who runs the pipeline read "
            "access, and call again."
        )
    if marked is not None:
        name = _SPAN.sub(lambda found: str(span).zfill(int(found[1] or 0)), pattern.marker or "")
        return None if span in marked else f"span {span} is not complete yet: there is no {name}"
    if not pattern.settle:
        return None
    still = now - max(_changed(one) for one in files)
    if still >= pattern.settle:
        return None
    return (
        f"span {span} may not be complete yet: it changed {in_words(still)} ago, less than {in_words(pattern.settle)}"
    )


def _matches(pattern: str) -> dict[int, list[Mapping[str, Any]]]:
    """What fsspec knows of each file that fits, by the span's number; of a folder that may not be read, its name."""
    fs, path = _file_system(pattern)
    parts = path.split("/")
    where = next(index for index, part in enumerate(parts) if "{SPAN" in part)
    fits = _expression(parts[where])
    found: dict[int, list[Mapping[str, Any]]] = {}
    for name, info in _listed(pattern, lambda: fs.glob(_SPAN.sub("*", path), detail=True)).items():
        match = fits.fullmatch(name.split("/")[where])
        if match and info.get("type") == "file":
            found.setdefault(int(match["span"]), []).append(info)
    for folder in getattr(fs, "closed", ()):
        # A span that may not be read is there all the same. What else lies beside the spans is nobody's business.
        match = fits.fullmatch(folder.split("/")[where]) if folder.count("/") >= where else None
        if match:
            found.setdefault(int(match["span"]), []).append({_CLOSED: folder})
    return found


def _closed(info: Mapping[str, Any]) -> str | None:
    return info.get(_CLOSED)


def _expression(part: str) -> re.Pattern[str]:
    before, width, after = _SPAN.split(part)
    digits = rf"\d{{{width}}}" if width else r"\d+"
    inner = [re.sub(r"\\[Zz]$", "", fnmatch.translate(text)) for text in (before, after)]
    return re.compile(f"{inner[0]}(?P<span>{digits}){inner[1]}")


def _file_system(pattern: str) -> tuple[Any, str]:
    from fsspec.core import url_to_fs  # noqa: PLC0415  only who looks for spans needs file systems

    try:
        fs, path = url_to_fs(pattern)
    except (ImportError, ValueError) as error:
        scheme = pattern.partition("://")[0]
        extra = {"gs": "gcs", "gcs": "gcs", "s3": "s3"}.get(scheme)
        step = f"Run: {install_command(extra)}" if extra else "Install the fsspec driver for it."
        raise UnavailableError(f"The spans at {pattern} cannot be looked at: {error}. {step}") from None
    # What this process saw before may have changed.
    fs.invalidate_cache()
    return _with_links(fs), str(path)


def _with_links(fs: Any) -> Any:
    """On a disk a link is what it leads to, as it is for TFX. To fsspec it is neither a file nor a folder, and a span
    behind one would not be there."""
    from fsspec.implementations.local import LocalFileSystem  # noqa: PLC0415

    if not isinstance(fs, LocalFileSystem):
        return fs

    class Followed(LocalFileSystem):  # type: ignore[misc]
        closed: list[str] = []  # noqa: RUF012  the class is made for one look

        def ls(self, path: str, detail: bool = False, **options: Any) -> Any:
            try:
                return super().ls(path, detail, **options)
            except PermissionError:  # a glob passes over what it may not read, without a word
                self.closed.append(path)
                raise

        def info(self, path: Any, **options: Any) -> dict[str, Any]:
            found: dict[str, Any] = super().info(path, **options)
            if found["islink"]:
                with contextlib.suppress(OSError):  # it leads nowhere, or round in a circle
                    end = Path(found["name"]).stat()
                    kind = "directory" if stat.S_ISDIR(end.st_mode) else "file"
                    found |= {"type": kind, "mtime": end.st_mtime}
            return found

    return Followed()


def _listed(pattern: str, work: Callable[[], Any]) -> dict[str, Mapping[str, Any]]:
    from tfx_pedigree.store.drivers import transport_errors  # noqa: PLC0415  it loads fsspec

    try:
        return dict(work())
    except FileNotFoundError:
        return {}
    except transport_errors() as error:
        said = getattr(error, "strerror", None) or " ".join(str(error).split()) or type(error).__name__
        raise UnavailableError(
            f"The spans at {pattern} cannot be looked at: {str(said).rstrip('.')}. Check the address, the network and "
            "the credentials, and call again."
        ) from error


def _changed(info: Mapping[str, Any]) -> datetime:
    value = next((info[key] for key in _CHANGED if info.get(key)), None)
    if isinstance(value, int | float):
        return datetime.fromtimestamp(value, timezone.utc)
    if isinstance(value, str):
        value = datetime.fromisoformat(value.replace("Z", "+00:00"))
    if not isinstance(value, datetime):
        raise InvalidInputError(
            f"Where {info.get('name')} lies, files have no times. Give `pipeline.spans.marker`, or `settle: 0`."
        )
    return value if value.tzinfo else value.replace(tzinfo=timezone.utc)
