"""Telling webhooks what happened: what is sent, where it may go, and when it is tried again.

The message is that of Standard Webhooks around an event in the form of CloudEvents 1.0. It is sent until it was taken;
a receiver knows by its id what it has already.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from tfx_pedigree import __version__
from tfx_pedigree.errors import UnavailableError
from tfx_pedigree.registry import Due, Outcome, check_secret
from tfx_pedigree.service.outgoing import host_of, path_of, pool_of
from tfx_pedigree.text import format_timestamp, plain

if TYPE_CHECKING:
    pass

# After the first try, in seconds. Then it is dead, until somebody asks for it again.
WAITS = (5, 30, 120, 600, 3600, 6 * 3600, 24 * 3600)
_TIMEOUT = 10.0
_GONE = 410
_LONGEST_ERROR = 300
# What a receiver says is of no use but to people who look for a mistake.
_MOST_ANSWER = 4096


@dataclass(frozen=True)
class Message:
    body: bytes
    headers: Mapping[str, str]


def message_of(due: Due, source: str, now: datetime, link: str | None = None) -> Message:
    """Pure. `source` says which registry it is, as a URI; `link` is the event's page, for people."""
    event = due.event
    subject = f"{event.chain}@{event.subject}" if event.subject else event.chain
    cloud = {
        "specversion": "1.0",
        "id": due.id,
        "source": source,
        "type": f"pedigree.{event.action}",
        "subject": subject,
        "time": format_timestamp(event.at),
        "datacontenttype": "application/json",
        **({"link": link} if link else {}),
        "data": event.to_json(),
    }
    body = json.dumps(cloud, ensure_ascii=False, separators=(",", ":")).encode()
    stamp = str(int(now.timestamp()))
    signed = b".".join((due.id.encode(), stamp.encode(), body))
    signatures = " ".join(f"v1,{_signature(secret, signed)}" for secret in due.secrets)
    return Message(
        body,
        {
            "content-type": "application/cloudevents+json",
            "user-agent": f"tfx-pedigree/{__version__}",
            "webhook-id": due.id,
            "webhook-timestamp": stamp,
            "webhook-signature": signatures,
        },
    )


def _signature(secret: str, signed: bytes) -> str:
    return base64.b64encode(hmac.new(check_secret(secret), signed, hashlib.sha256).digest()).decode()


def outcome_of(status: int, said: str, attempts: int, now: datetime) -> Outcome:
    """Pure. `attempts` are those before this one."""
    if 200 <= status < 300:
        return Outcome(taken=True)
    error = f"answered {status}{f': {said}' if said else ''}"
    if status == _GONE:
        return Outcome(False, error, None, f"the receiver answered {_GONE}: it wants nothing more")
    return failed(error, attempts, now)


def failed(error: str, attempts: int, now: datetime) -> Outcome:
    later = now + timedelta(seconds=WAITS[attempts]) if attempts < len(WAITS) else None
    return Outcome(False, plain(error, _LONGEST_ERROR), later)


def send(due: Due, source: str, clock: Callable[[], datetime], link: str | None = None) -> Outcome:
    """Tries once. Whatever goes wrong at the other end is an outcome."""
    import urllib3  # noqa: PLC0415  slow to load, and only senders need it

    now = clock()
    message = message_of(due, source, now, link)
    try:
        with pool_of(due.url, private=due.private) as pool:
            response = pool.urlopen(
                "POST",
                path_of(due.url),
                body=message.body,
                headers={**message.headers, "host": host_of(due.url)},
                redirect=False,
                retries=False,
                timeout=_TIMEOUT,
                preload_content=False,
                decode_content=False,
            )
            said = response.read(_MOST_ANSWER).decode(errors="replace").strip()
            response.close()
    except (UnavailableError, urllib3.exceptions.HTTPError, OSError) as error:
        return failed(str(error), due.attempts, now)
    return outcome_of(response.status, plain(said, _LONGEST_ERROR), due.attempts, now)
