"""How Pedigree writes names, counts, digests and times for people: each helper once, used by every room.

Text from outside (a model's names, a file, a request) goes through `plain` or `visible` before anybody reads it: a
terminal obeys control characters.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timezone

LONGEST = 80
_SHORT_DIGEST = len("sha256:") + 10
_DIGITS = re.compile(r"([0-9]{1,18})")


def plain(text: str, longest: int = LONGEST) -> str:
    """A name as it may stand in a sentence: no control character, and not longer than `longest`."""
    shown = text if text.isprintable() else ascii(text)[1:-1]
    return shown if len(shown) <= longest else shown[: longest - 1] + "…"


def visible(text: str) -> str:
    """Any text as it may be shown: control characters are spelt out, line ends stay."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode() for c in text)


def is_unicode(text: str) -> bool:
    """False where the text holds a surrogate alone, as JSON's `\\ud800` gives one: no file can hold it."""
    return text.isascii() or not any("\ud800" <= letter <= "\udfff" for letter in text)


def holds_zero(value: object) -> bool:
    """Whether the character zero, which not every database can hold, is anywhere in a value of JSON."""
    if isinstance(value, Mapping):
        return any(holds_zero(one) for pair in value.items() for one in pair)
    if isinstance(value, list | tuple):
        return any(map(holds_zero, value))
    return isinstance(value, str) and "\0" in value


def plural(count: int, noun: str, several: str | None = None) -> str:
    """`1 version`, `2,048 versions`; `several` where the plural is not formed with an s."""
    return f"{count:,} {noun if count == 1 else several or f'{noun}s'}"


def listed(items: Iterable[str], named: int | None = None) -> str:
    """`a, b and c`; with `named`, at the most so many of them: `a, b, c and 12 more`."""
    texts = list(items)
    if named is not None and len(texts) > named + 1:
        return f"{', '.join(texts[:named])} and {len(texts) - named} more"
    return " and ".join(filter(None, (", ".join(texts[:-1]), *texts[-1:])))


def nearest(text: str, known: Iterable[str], most: int = 3) -> list[str]:
    """The known names that are spelt most like `text`: what somebody who made a typo may have meant."""
    return difflib.get_close_matches(text, list(known), n=most)


def did_you_mean(text: str, known: Sequence[str], otherwise: str = "") -> str:
    """A sentence for the end of a refusal; `otherwise` where no known name is near."""
    near = nearest(text, known)
    return f"Did you mean {' or '.join(f'`{name}`' for name in near)}?" if near else otherwise


def natural(text: str) -> list[tuple[int, int, str]]:
    """To sort by, as people count: `hour=9` before `hour=10`."""
    parts = _DIGITS.split(text)
    return [(0, int(part), "") if at % 2 else (1, 0, part) for at, part in enumerate(parts)]


def middle_cut(text: str, longest: int) -> str:
    """Cut in the middle, because names of one kind begin alike and often end alike as well."""
    if len(text) <= longest:
        return text
    head = longest // 2
    return f"{text[:head]}…{text[len(text) - (longest - 1 - head) :]}"


def short_digest(digest: str) -> str:
    """Enough of a digest to tell versions apart, and to be pasted after `@`."""
    return digest[:_SHORT_DIGEST]


def format_timestamp(value: datetime) -> str:
    """A time as it stands in every JSON that Pedigree writes."""
    return f"{_utc(value).isoformat(timespec='microseconds')}Z"


def format_minute(value: datetime) -> str:
    """A time for people: `2026-03-01 14:05 UTC`."""
    return f"{_utc(value).isoformat(' ', 'minutes')} UTC"


def _utc(value: datetime) -> datetime:
    """For `isoformat`: unlike `strftime`, it gives every year four digits."""
    return value.astimezone(timezone.utc).replace(tzinfo=None)


def format_size(count: float) -> str:
    """`512 B`, `3.2 MB`: decimal units, three digits."""
    unit = "B"
    for larger in ("kB", "MB", "GB", "TB", "PB"):
        if count < 999.5:
            break
        count, unit = count / 1000, larger
    return f"{count:.3g} {unit}"
