"""Who asks: taken from a request's credential, never from a parameter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from starlette.requests import HTTPConnection

from tfx_pedigree.errors import InvalidInputError
from tfx_pedigree.registry import Identity, Registry
from tfx_pedigree.server.forms import check_origin
from tfx_pedigree.server.identity import SAFE, Credentials
from tfx_pedigree.server.issuers import Issuer, load_issuers
from tfx_pedigree.server.settings import ServerSettings
from tfx_pedigree.text import listed


class Authenticator(Protocol):
    def identify(self, request: HTTPConnection) -> Identity:
        """Who sent it. UnauthenticatedError where nobody is known by what it carries. May wait for a database, so it
        is called in a thread and not on the event loop."""
        ...


@dataclass(frozen=True)
class Everybody:
    """Whoever can reach the server is one principal. A page that a browser on this computer shows can reach it, too:
    what it asks for is not what the person wants."""

    identity: Identity

    def identify(self, request: HTTPConnection) -> Identity:
        if request.scope.get("method") not in SAFE:
            check_origin(request)
        return self.identity


def issuers_of(settings: ServerSettings) -> tuple[Issuer, ...]:
    issuers = load_issuers(settings.issuers) if settings.issuers else ()
    ways = [one.sign_in.name for one in issuers if one.sign_in is not None]
    if ways and settings.public_url is None:
        raise InvalidInputError(
            f"People are to sign in by {listed(ways)}, and their browsers must find back to this server. Say where it "
            "is with --public-url https://HOST."
        )
    return issuers


def authenticator_for(settings: ServerSettings, registry: Registry, issuers: Sequence[Issuer]) -> Authenticator:
    if settings.everybody is None:
        return Credentials(registry, settings.proxy, issuers=issuers)
    return Everybody(Identity(settings.everybody))
