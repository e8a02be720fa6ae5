"""Rows: the tables of a registry, on SQLite or PostgreSQL, and how a transaction begins on each.

In comes a database address; out go an engine whose schema is checked and two kinds of transaction, reading and writing.
It never knows what the rows mean: states, roles and promotion are decided in `registry/`.
"""

from __future__ import annotations

from tfx_pedigree.db.engine import Database
from tfx_pedigree.db.schema import metadata
from tfx_pedigree.db.statement import Question, Row, Statement, one_of, together

__all__ = ["Database", "Question", "Row", "Statement", "metadata", "one_of", "together"]
