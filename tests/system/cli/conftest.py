"""See cli_fixtures.py."""

from cli_fixtures import own_terminal, pedigree, project, reader, registry, told

__all__ = ["own_terminal", "pedigree", "project", "reader", "registry", "told"]
