"""See pages_fixtures.py."""

from pages_fixtures import pages_switch, site

__all__ = ["pages_switch", "site"]
