"""A registry on a server, for those who use one: the same Protocols as the local registry, over HTTP.

In: a server's address and a token. Out: a registry, a lineage and a store that carry out each call there. Never:
decides anything, keeps an answer, or sends a token elsewhere than to its server.
"""

from __future__ import annotations

from tfx_pedigree.client.address import TOKEN_VARIABLE
from tfx_pedigree.client.remote import RemoteLineage, RemoteRegistry, RemoteRollouts, connect
from tfx_pedigree.client.store import RemoteStore

__all__ = ["TOKEN_VARIABLE", "RemoteLineage", "RemoteRegistry", "RemoteRollouts", "RemoteStore", "connect"]
