"""What the operating system and storage drivers say, turned into sentences that hold no secret."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager

from tfx_pedigree.errors import InvalidInputError, PedigreeError, UnavailableError

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_USERINFO = re.compile(r"(?<=://)[^/@\s]*@")
_QUERY = re.compile(r"\?\S*")


def without_secrets(url: str) -> str:
    """`url` as it may be shown: no user, no password, no query."""
    return _QUERY.sub("", _USERINFO.sub("", url)) if "://" in url else url


def shown(path: str) -> str:
    """A path for a person, even when its bytes are not UTF-8 or would move the cursor."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in path)


def reason(error: OSError) -> str:
    return os.strerror(error.errno) if error.errno else type(error).__name__


def store_refusal(error: OSError, url: str) -> PedigreeError:
    if error.errno in _FULL:
        return UnavailableError(
            f"The store {url} has no room left ({reason(error)}). Nothing half-written was kept. Free "
            "some space, "
            "for example with `pedigree gc`, and try again."
        )
    if isinstance(error, PermissionError) or error.errno == errno.EROFS:
        return UnavailableError(
            f"The store {url} does not permit this ({reason(error)}). "
            "Nothing was changed. Check who owns its files, and whether the disk is mounted read-only."
        )
    return UnavailableError(
        f"The store {url} cannot be used now ({reason(error)}). Nothing half-written was kept. Try "
        "again when it answers."
    )


@contextmanager
def using_store(url: str) -> Iterator[None]:
    """For work on the store's own files. Errors of a source have been translated by its reader."""
    try:
        yield
    except OSError as error:
        raise store_refusal(error, url) from error


def target_refusal(error: OSError, target: str) -> PedigreeError:
    if error.errno in _FULL:
        return UnavailableError(
            f"The disk of {target} has no room left ({reason(error)}), so nothing was put there. "
            "Free some space and try again."
        )
    return InvalidInputError(
        f"{target} cannot be written ({reason(error)}), so nothing was put there. "
        "Choose another folder or correct its permissions."
    )
