"""Looks a compiled pipeline through for what would fail on the service, or show a secret, before anybody submits it."""

from __future__ import annotations

from collections.abc import Collection

from tfx_pedigree.orchestration.ir import graph_checks, place_checks
from tfx_pedigree.orchestration.ir.compiled import CompiledPipeline
from tfx_pedigree.orchestration.ir.findings import Finding, Level
from tfx_pedigree.orchestration.ir.secret_checks import check_secrets

_CHECKS = (
    place_checks.check_root,
    graph_checks.check_schema,
    graph_checks.check_producers,
    graph_checks.check_conditions,
    graph_checks.check_parameters,
    graph_checks.check_resolvers,
    graph_checks.check_hooks,
    place_checks.check_images,
    place_checks.check_addresses,
    place_checks.check_registry,
    check_secrets,
)


def lint(compiled: CompiledPipeline, unimportable: Collection[str] = ()) -> tuple[Finding, ...]:
    """Errors first. The same finding in several tasks stands there for each of them."""
    found = [one for check in _CHECKS for one in check(compiled)]
    found += place_checks.check_types(compiled, unimportable)
    return tuple(sorted(dict.fromkeys(found), key=lambda one: one.level is not Level.ERROR))
