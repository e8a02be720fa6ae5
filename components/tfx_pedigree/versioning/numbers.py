"""Semantic version numbers and timestamp tags: arithmetic on text, parsed by the `semver` package."""

from __future__ import annotations

from datetime import datetime, timezone

from semver import Version

from tfx_pedigree.digest import check_digest
from tfx_pedigree.errors import ConflictError, InvalidInputError
from tfx_pedigree.versioning.bump import Bump

FIRST = "1.0.0"


def parse_version(text: str) -> Version:
    """The one place where a leading `v` is taken off.

    Build metadata is refused: 1.0.0+a and 1.0.0+b rank alike, so neither could be called the newer one.
    """
    plain = text[1:] if text[:1] in ("v", "V") else text
    version = Version.parse(plain) if Version.is_valid(plain) else None
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


def next_version(highest: str | None, bump: Bump, pre: str | None = None) -> str:
    """The next number after `highest`, always higher. After 2.0.0-rc.1 comes 2.0.0."""
    if highest is None:
        return FIRST if pre is None else f"{FIRST}-{check_pre(pre)}.1"
    before = parse_version(highest)
    release = before.next_version(bump.value)
    if pre is None:
        return str(release)
    return str(_pre_release(before, release, check_pre(pre)))


def _pre_release(before: Version, release: Version, token: str) -> Version:
    if before.prerelease is not None and before.finalize_version() == release:
        counted = before.prerelease.rpartition(".")
        if counted[0] == token and counted[2].isdigit():
            return before.bump_prerelease(token)
        if before.prerelease == token:
            return release.replace(prerelease=f"{token}.1")
    wanted = release.replace(prerelease=f"{token}.1")
    if wanted <= before:
        raise ConflictError(
            f"{wanted} cannot follow {before}, the highest version: by the rules of semantic versions it is "
            f"lower. Use a pre-release word that sorts after {before.prerelease!r}, or release {release}."
        )
    return wanted


def check_higher(version: str, highest: str | None) -> str:
    """The version without a leading `v`. Refuses one that is not higher than every existing one."""
    wanted = parse_version(version)
    if highest is not None and wanted <= parse_version(highest):
        raise ConflictError(
            f"{wanted} cannot be given: a version must be higher than every existing one, and {highest} "
            f"exists already. Give one above {highest}, or none, so that Pedigree derives it."
        )
    return str(wanted)


def timestamp_tag(when_utc: datetime, digest: str) -> str:
    """`v20261120143000_ab12cd34`: the second in UTC and the first eight digits of the content's digest."""
    if when_utc.tzinfo is None:
        raise InvalidInputError(
            f"{when_utc.isoformat()} has no time zone, so that its UTC is unknown. Give a time with a zone."
        )
    moment = when_utc.astimezone(timezone.utc)
    return f"v{moment:%Y%m%d%H%M%S}_{check_digest(digest).removeprefix('sha256:')[:8]}"
