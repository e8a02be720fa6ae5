"""See store_fixtures.py."""

from store_fixtures import local, make_model, model, s3_options

__all__ = ["local", "make_model", "model", "s3_options"]
