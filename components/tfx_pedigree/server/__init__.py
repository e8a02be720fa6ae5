"""The server: one registry for a team, over HTTP.

In: requests with a credential. Out: answers of the registry's Protocols and of use cases, as JSON, files and pages.
Never: decides what a role allows or what an operation means, and keeps no state beside the database's.
"""

from __future__ import annotations

from tfx_pedigree.server.addresses import PublicUrl
from tfx_pedigree.server.app import application, create_app
from tfx_pedigree.server.authentication import Authenticator
from tfx_pedigree.server.context import RouteGroup, Server
from tfx_pedigree.server.settings import RolloutDriver, ServerSettings, TrustedProxy

__all__ = [
    "Authenticator",
    "PublicUrl",
    "RolloutDriver",
    "RouteGroup",
    "Server",
    "ServerSettings",
    "TrustedProxy",
    "application",
    "create_app",
]
