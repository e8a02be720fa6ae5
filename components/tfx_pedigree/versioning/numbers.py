"""Semantic version numbers and timestamp tags: arithmetic on text, parsed by the `semver` package."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import datetime, timezone

from semver import Version

from tfx_pedigree.digest import check_digest
from tfx_pedigree.errors import ConflictError, InvalidInputError
from tfx_pedigree.versioning.bump import Bump

FIRST = "1.0.0"
# Which of some numbers are given already.
Taken = Callable[[Sequence[str]], Collection[str]]
# A number that was the first free one of this level above the base when it was given, if one is known: none below it
# has become free since, so the search goes on behind it.
Reached = Callable[[str, Bump], str | None]
_ASKED_FOR = (1, 4, 32)


def none_taken(_: Sequence[str]) -> Collection[str]:
    return ()


def nothing_reached(_: str, __: Bump) -> str | None:
    return None


@functools.lru_cache(4096)
def parse_version(text: str) -> Version:
    """The one place where a leading `v` is taken off.

    Build metadata is refused: 1.0.0+a and 1.0.0+b rank alike, so neither could be called the newer one.
    """
    plain = text[1:] if text[:1] in ("v", "V") else text
    try:
        version = Version.parse(plain)
    except ValueError:
        version = None
    if version is None or str(version) != plain:  # an older semver overlooks a line feed at the end
        raise InvalidInputError(
            f"{text!r} is not a semantic version. Write three numbers and, if wanted, a pre-release, "
            "such as 1.2.0 or 1.2.0-rc.1."
        )
    if version.build is not None:
        raise InvalidInputError(
            f"{text!r} carries build metadata, by which versions cannot be put in order. "
            f"Write {version.replace(build=None)} and keep the rest as a tag of the version."
        )
    return version


def check_pre(token: str) -> str:
    """The word of a pre-release, `rc` in 1.3.0-rc.1."""
    if not token.isascii() or not token.replace("-", "").isalnum() or token.isdigit():
        raise InvalidInputError(f"{token!r} cannot name a pre-release. Use letters, digits and '-', such as rc.")
    return token


def next_version(
    base: str | None,
    bump: Bump,
    pre: str | None = None,
    taken: Taken = none_taken,
    reached: Reached = nothing_reached,
) -> str:
    """The first free number of this level above `base`. After 2.0.0-rc.1 comes 2.0.0.

    A pre-release is one of the first release that nobody has released yet.
    """
    if base is None:
        releases: Iterator[str] = itertools.chain([FIRST], _above(parse_version(FIRST), bump))
    else:
        releases = _above(parse_version(reached(base, bump) or base), bump)
    release = _first_free(releases, taken)
    if pre is None:
        return release
    token = check_pre(pre)
    wanted = _first_free(
        (f"{release}-{token}.{at}" for at in itertools.count(_counted(base, release, token) + 1)), taken
    )
    if base is not None and parse_version(wanted) <= parse_version(base):
        raise ConflictError(
            f"{wanted} cannot follow {base}: by the rules of semantic versions it is lower. Use a pre-release word "
            f"that sorts after {parse_version(base).prerelease!r}, or release {release}."
        )
    return wanted


def _counted(base: str | None, release: str, token: str) -> int:
    """How far the base has counted: 2 for 1.3.0-rc.2, if the wanted one is another rc of 1.3.0."""
    before = parse_version(base) if base is not None else None
    if before is None or before.prerelease is None or str(before.finalize_version()) != release:
        return 0
    word, _, count = before.prerelease.rpartition(".")
    return int(count) if word == token and count.isdigit() else 0


def check_given(version: str, base: str | None, taken: Taken = none_taken) -> str:
    """The version without a leading `v`. Refuses one that exists, and one that is not above what it follows."""
    wanted = parse_version(version)
    if taken([str(wanted)]):
        raise ConflictError(
            f"{wanted} cannot be given: it exists already. Give one above {base} that does not, or none, so that "
            "Pedigree derives it."
        )
    if base is not None and wanted <= parse_version(base):
        raise ConflictError(
            f"{wanted} cannot be given: it is not higher than {base}, which the new version follows. Give one above "
            f"{base}, or none, so that Pedigree derives it."
        )
    return str(wanted)


def higher(one: str | None, other: str) -> str:
    return other if one is None or parse_version(other) > parse_version(one) else one


def _above(base: Version, bump: Bump) -> Iterator[str]:
    while True:
        base = base.next_version(bump.value)
        yield str(base)


def _first_free(numbers: Iterator[str], taken: Taken) -> str:
    """Few are asked for at first: mostly the first one is free."""
    for size in itertools.chain(_ASKED_FOR, itertools.repeat(_ASKED_FOR[-1])):
        some = list(itertools.islice(numbers, size))
        used = taken(some)
        for number in some:
            if number not in used:
                return number
    raise AssertionError  # the last size is repeated for ever


def timestamp_tag(when_utc: datetime, digest: str) -> str:
    """`v20261120143000_ab12cd34`: the second in UTC and the first eight digits of the content's digest."""
    if when_utc.tzinfo is None:
        raise InvalidInputError(
            f"{when_utc.isoformat()} has no time zone, so that its UTC is unknown. Give a time with a zone."
        )
    moment = when_utc.astimezone(timezone.utc)
    return f"v{moment:%Y%m%d%H%M%S}_{check_digest(digest).removeprefix('sha256:')[:8]}"
