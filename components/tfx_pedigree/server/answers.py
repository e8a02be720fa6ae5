"""Answers as they go over the wire: JSON with its ETag, and refusals as problems."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from starlette.types import Scope, Send

from tfx_pedigree.errors import PedigreeError
from tfx_pedigree.json_form import to_json
from tfx_pedigree.wire import PROBLEM, Problem, problem_of

JSON = "application/json"
# Whoever keeps an answer asks each time whether it still holds; nobody keeps it for others.
PRIVATE = {"cache-control": "private, no-cache", "vary": "authorization, cookie"}
NOT_STORED = {"cache-control": "no-store"}


@dataclass(frozen=True)
class Answer:
    """`media` is None where there is no content."""

    status: int
    content: bytes
    media: str | None = JSON
    headers: Mapping[str, str] = field(default_factory=dict)

    async def send(self, send: Send, *, head: bool = False) -> None:
        """With `head`, all but the content."""
        own = {"content-length": str(len(self.content)), "x-content-type-options": "nosniff"}
        if self.media is not None:
            own["content-type"] = self.media
        headers = [(name.encode("latin-1"), text.encode("latin-1")) for name, text in {**own, **self.headers}.items()]
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if head else self.content})


def wants_page(scope: Scope) -> bool:
    """Whether a browser asks, which says that it takes HTML. Below /api, and for a page's twin, all is JSON."""
    accepted = b",".join(text for name, text in scope["headers"] if name == b"accept")
    path: str = scope["path"]
    return b"text/html" in accepted and not path.startswith("/api/") and not path.endswith(".json")


def json_bytes(value: Any) -> bytes:
    return json.dumps(to_json(value), ensure_ascii=False, separators=(",", ":")).encode()


def tagged(content: bytes, if_none_match: str | None) -> Answer:
    """The content, or that it is what the asker has. The tag is the content's own digest: it changes with each byte."""
    tag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
    headers = {"etag": tag, **PRIVATE}
    if if_none_match is not None and holds(tag, if_none_match):
        return Answer(304, b"", None, headers)
    return Answer(200, content, JSON, headers)


def holds(tag: str, if_none_match: str) -> bool:
    return any(one.strip().removeprefix("W/") in (tag, "*") for one in if_none_match.split(","))


def untagged(content: bytes) -> Answer:
    return Answer(200, content, JSON, NOT_STORED)


def refusal(error: PedigreeError) -> Answer:
    headers = {"www-authenticate": 'Bearer realm="pedigree"'} if error.kind == "unauthenticated" else {}
    return problem(problem_of(error), headers)


def problem(told: Problem, headers: Mapping[str, str] | None = None) -> Answer:
    return Answer(told.status, json_bytes(told), PROBLEM, {**NOT_STORED, **(headers or {})})


def bug(error: Exception) -> Answer:
    return problem(Problem.of(500, bug_sentence(error), "internal"))


def bug_sentence(error: Exception) -> str:
    """What it was stands in the server's log, not in the answer."""
    return (
        f"The server itself failed ({type(error).__name__}). This is a bug, not a mistake of yours. Whoever runs the "
        "server finds more in its log."
    )
