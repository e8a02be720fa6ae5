"""What crosses between a server and its clients: one table of operations, and how each becomes a request and an answer.

In: the Protocols of the rooms below, whose signatures are the description of every argument and answer. Out: the table,
from which the server dispatches and writes its OpenAPI document, and the client its requests. Never: opens a socket.
"""

from __future__ import annotations

from tfx_pedigree.wire.about import About, ServerApi
from tfx_pedigree.wire.lines import NDJSON, read_lines, write_lines
from tfx_pedigree.wire.operation import KEY_HEADER, Kind, Operation, Parameter, Place
from tfx_pedigree.wire.problem import PROBLEM, Problem, error_of, problem_of
from tfx_pedigree.wire.requests import Call, arguments_of, call_of
from tfx_pedigree.wire.routing import Found, Router
from tfx_pedigree.wire.store import StoreApi
from tfx_pedigree.wire.table import ABOUT, LINEAGE, OPERATIONS, PREFIX, REGISTRY, ROLLOUTS, STORE

__all__ = [
    "ABOUT",
    "KEY_HEADER",
    "LINEAGE",
    "NDJSON",
    "OPERATIONS",
    "PREFIX",
    "PROBLEM",
    "REGISTRY",
    "ROLLOUTS",
    "STORE",
    "About",
    "Call",
    "Found",
    "Kind",
    "Operation",
    "Parameter",
    "Place",
    "Problem",
    "Router",
    "ServerApi",
    "StoreApi",
    "arguments_of",
    "call_of",
    "error_of",
    "problem_of",
    "read_lines",
    "write_lines",
]
