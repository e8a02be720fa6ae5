"""Questions to a server over HTTP: bounded in time and size, and without a retry of their own."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import urllib3

from tfx_pedigree.bounded_parse import parse_json
from tfx_pedigree.errors import UnavailableError
from tfx_pedigree.text import plain

_SECONDS = 2.0
_LARGEST = 8 << 20


@dataclass(frozen=True)
class Answer:
    status: int
    body: bytes

    def json(self, source: str) -> Any:
        return parse_json(self.body, source)


@functools.cache
def _pool() -> urllib3.PoolManager:
    return urllib3.PoolManager(maxsize=4, retries=False)


def ask(url: str, method: str = "GET", body: bytes | None = None, *, seconds: float = _SECONDS) -> Answer:
    """`UnavailableError` where nobody answers; a status is the caller's to judge. A redirect is not followed."""
    headers = {"Content-Type": "application/json"} if body is not None else None
    options = {
        "preload_content": False,
        "decode_content": False,
        "redirect": False,
        "timeout": urllib3.Timeout(seconds),
    }
    try:
        response = _pool().request(method, url, body=body, headers=headers, **options)
        try:
            found = response.read(_LARGEST + 1)
        finally:
            response.close()
    except (urllib3.exceptions.HTTPError, OSError) as error:
        raise UnavailableError(f"{url} does not answer ({plain(type(error).__name__)}).") from error
    if len(found) > _LARGEST:
        raise UnavailableError(f"{url} answers with more than {_LARGEST >> 20} MiB.")
    return Answer(int(response.status), found)
