"""Pages: the registry where people look.

In: requests of browsers. Out: HTML that works without scripts, each page with its JSON twin and the command that says
the same. Never: reads but through the registry's Protocols and use cases, decides anything, loads from elsewhere.
"""

from __future__ import annotations

from tfx_pedigree.server.pages.routes import PAGES

__all__ = ["PAGES"]
