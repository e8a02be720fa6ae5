"""Telling webhooks what happened: what is sent, where it may go, and when it is tried again.

The message is that of Standard Webhooks around an event in the form of CloudEvents 1.0. It is sent until it was taken;
a receiver knows by its id what it has already.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import ipaddress
import json
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from tfx_pedigree import __version__
from tfx_pedigree.errors import UnavailableError
from tfx_pedigree.registry import Due, Outcome, check_secret
from tfx_pedigree.text import format_timestamp, plain

if TYPE_CHECKING:
    from urllib3 import HTTPConnectionPool

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
        with _pool(due) as pool:
            response = pool.urlopen(
                "POST",
                _path(due.url),
                body=message.body,
                headers={**message.headers, "host": _host(due.url)},
                redirect=False,
                retries=False,
                timeout=_TIMEOUT,
                preload_content=False,
            )
            said = response.read(_MOST_ANSWER).decode(errors="replace").strip()
            response.close()
    except (UnavailableError, urllib3.exceptions.HTTPError, OSError) as error:
        return failed(str(error), due.attempts, now)
    return outcome_of(response.status, plain(said, _LONGEST_ERROR), due.attempts, now)


def _pool(due: Due) -> HTTPConnectionPool:
    """To the address that was looked at, and to no other one that the name may mean a moment later."""
    import urllib3  # noqa: PLC0415

    parts = urlsplit(due.url)
    host = parts.hostname or ""
    if parts.scheme == "http":
        return urllib3.HTTPConnectionPool(_address(host, parts.port or 80, private=due.private), parts.port or 80)
    named: dict[str, Any] = {"server_hostname": host, "assert_hostname": host}
    address = _address(host, parts.port or 443, private=due.private)
    return urllib3.HTTPSConnectionPool(address, parts.port or 443, cert_reqs="CERT_REQUIRED", **named)


def _address(host: str, port: int, *, private: bool) -> str:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise UnavailableError(f"{host} has no address: {error.strerror or error}") from error
    addresses = [str(one[4][0]) for one in found]
    if not private and (hidden := not_public(addresses)):
        raise UnavailableError(f"{host} leads to {hidden}, which is not public; nothing was sent there")
    return addresses[0]


def not_public(addresses: Sequence[str]) -> str | None:
    """The first one that belongs to this machine or to a network of one's own."""
    for text in addresses:
        address = ipaddress.ip_address(text.partition("%")[0])
        mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
        if not (mapped or address).is_global or (mapped or address).is_multicast:
            return text
    return None


def _path(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.path or '/'}{f'?{parts.query}' if parts.query else ''}"


def _host(url: str) -> str:
    return urlsplit(url).netloc
