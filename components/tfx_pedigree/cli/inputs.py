"""What people write on a command line or in a file, read or refused with the option that was meant."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import click

from tfx_pedigree.bounded_parse import parse_json
from tfx_pedigree.errors import ConflictError, InvalidInputError, NotFoundError, UnavailableError

F = TypeVar("F", bound=Callable[..., Any])
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_LARGEST = 64 << 20
STANDARD = Path("-")
_TAKEN = "tfx_pedigree.cli.inputs.taken"


def paging(command: F) -> F:
    """`--limit` and `--after`, for commands that answer with a page."""
    limit = click.option(
        "--limit", type=click.IntRange(1, 1000), default=50, show_default=True, help="At most this many."
    )
    after = click.option("--after", metavar="CURSOR", help="Continue where an earlier answer ended.")
    return limit(after(command))


def reason_option(*, required: bool) -> Callable[[F], F]:
    return click.option("--reason", required=required, help="Why; recorded in the audit log.", callback=not_blank)


def not_blank(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    if value is not None and not value.strip():
        raise click.BadParameter("it is empty.", ctx=ctx, param=param)
    return value


def pairs(words: Sequence[str], what: str) -> dict[str, str]:
    """`name=value` for each word; a name given twice is refused."""
    found: dict[str, str] = {}
    for word in words:
        # The name of a metric may have a sign of its own (auc@class_id=3), its value never has.
        name, equals, value = word.rpartition("=") if what == "metric" else word.partition("=")
        if not equals or not name.strip():
            raise InvalidInputError(f"{word!r} is not a {what}. Write it as name=value.")
        if name in found:
            raise InvalidInputError(f"The {what} {name!r} is given twice. Give it once.")
        found[name.strip()] = value
    return found


def metrics(words: Sequence[str], file: Path | None) -> dict[str, float]:
    """From `--metrics FILE`, overruled one by one by `--metric name=value`."""
    found = _metrics_of(file) if file else {}
    for name, value in pairs(words, "metric").items():
        try:
            found[name] = float(value)
        except ValueError:
            raise InvalidInputError(f"The metric {name!r} has the value {value!r}, which is not a number.") from None
    return found


def _metrics_of(file: Path) -> dict[str, float]:
    found = _object_of(file, "metrics", '{"auc": 0.91}')
    for name, value in found.items():
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise InvalidInputError(f"{_named(file)}: the metric {name!r} must be a number, not {_cut(value)}.")
    return found


def parameters(words: Sequence[str], file: Path | None = None) -> dict[str, Any]:
    """From `--params FILE`, overruled one by one by `--param name=value`. A value that reads as a JSON scalar is one
    (0.01, true, null, "7"); anything else is text."""
    found = _object_of(file, "parameters", '{"learning_rate": 0.01}') if file else {}
    for name, value in found.items():
        if isinstance(value, dict | list):
            raise InvalidInputError(f"{_named(file)}: the parameter {name!r} must be one value, not {_cut(value)}.")
    return found | {name: _scalar(value) for name, value in pairs(words, "parameter").items()}


def _object_of(file: Path, what: str, example: str) -> dict[str, Any]:
    found = read_json(file, what)
    if not isinstance(found, dict):
        raise InvalidInputError(f"{_named(file)} must hold an object with {what} by name, such as {example}.")
    return found


def _cut(value: Any) -> str:
    return json.dumps(value)[:40]


def _scalar(text: str) -> Any:
    try:
        value = parse_json(text, "the value")
    except InvalidInputError:
        return text
    return text if isinstance(value, dict | list) else value


def read_json(file: Path, what: str) -> Any:
    return parse_json(read_text(file, what), _named(file))


def read_text(file: Path, what: str) -> str:
    """`-` is standard input."""
    try:
        with _opened(file, what) as opened:
            data = opened.read(_LARGEST + 1)
        if len(data) > _LARGEST:
            raise InvalidInputError(f"{_named(file)} has more than {_LARGEST >> 20} MiB, so it holds no {what}.")
        return data.decode()
    except FileNotFoundError:
        raise NotFoundError(f"There is no file {file} to read the {what} from.") from None
    except OSError as error:
        raise InvalidInputError(f"The {what} in {file} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise InvalidInputError(f"{_named(file)} is not UTF-8 text, so no {what} can be read from it.") from None


@contextlib.contextmanager
def _opened(file: Path, what: str) -> Iterator[BinaryIO]:
    if file != STANDARD:
        with file.open("rb") as opened:
            yield opened
        return
    taken = click.get_current_context().find_root().meta.setdefault(_TAKEN, what)
    if taken != what:
        raise InvalidInputError(f"Standard input gives the {taken} already. Give the {what} in a file.")
    yield click.get_binary_stream("stdin")


def _named(file: Path | None) -> str:
    return "Standard input" if file == STANDARD else str(file)


def write_new(file: Path, text: str) -> None:
    """Never overwrites: what lies there may be the only copy."""
    try:
        with file.open("x", encoding="utf-8") as opened:
            opened.write(text)
    except FileExistsError:
        raise ConflictError(f"{file} exists already. Choose another name, or remove it first.") from None
    except OSError as error:
        raise UnavailableError(f"{file} cannot be written: {error.strerror}. Choose another place.") from None


def duration(text: str) -> timedelta:
    match = re.fullmatch(r"(\d{1,6})\s*([smhdw])", text.strip())
    if match is None and text.strip() != "0":
        raise InvalidInputError(f"{text!r} is not a length of time. Write 90s, 30m, 24h, 7d, 2w or 0.")
    return timedelta(seconds=int(match[1]) * _SECONDS[match[2]]) if match else timedelta(0)
