"""Makes the order for a run from what was recorded, and finds how its inputs differ. Reads, but starts nothing."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

from tfx_pedigree.digest import canonical_json, digest_of, plain_json
from tfx_pedigree.lineage.neighbours import Neighbours
from tfx_pedigree.lineage.node_factory import version_node
from tfx_pedigree.pipeline_config import PipelineConfig
from tfx_pedigree.registry import Reference, Version
from tfx_pedigree.service.reproducing.looking import Given, settings_of
from tfx_pedigree.service.reproducing.recipe import Recipe
from tfx_pedigree.service.reproducing.recorded import Recorded
from tfx_pedigree.service.workspace import Workspace
from tfx_pedigree.text import listed

LOG = "run.log"
# A setting of `add_pedigree` that names a place which is written to.
SERVING_BASE = "serving_base"
_MOST = 5


def with_recipe(recorded: Recorded, given: Recipe | None) -> Recorded:
    """A recorded recipe overrides the one from today's config."""
    return recorded if recorded.recipe is not None or given is None else replace(recorded, recipe=given)


def order_of(recorded: Recorded, given: Given) -> dict[str, Any]:
    """Identifies a reproduction, so that a folder with parts of another one is not used."""
    recipe, code = recorded.recipe, recorded.code
    return {
        "version": recorded.version.name,
        "digest": recorded.version.digest,
        "commit": code.commit if code else None,
        "recipe": digest_of(canonical_json(recipe.to_json())) if recipe else None,
        "settings": dict(given.settings),
    }


def config_of(recipe: Recipe, given: Given, checkout: Path, place: Path) -> PipelineConfig:
    """The pipeline as it was, but from the checkout and with every place that it writes to in a folder of its own.
    `prepare` is left out: the data are there, and it would write where they are."""
    settings = {name: _moved(value, recipe, checkout) for name, value in settings_of(recipe, given).items()}
    settings |= dict(given.settings)
    for name in recipe.writes:
        settings[name] = str(place / f"{name}{PurePosixPath(str(settings[name])).suffix}")
    told = dict(settings.get("pedigree") or {})
    if told.get(SERVING_BASE):
        told[SERVING_BASE] = str(place / SERVING_BASE)
    path = recipe.inside(recipe.path) or "."
    return PipelineConfig(
        file=place / "reproduction.yaml",
        create=recipe.create,
        prepare=None,
        path=str(checkout / path),
        log=str(place / LOG),
        settings={**settings, "pedigree": told},
    )


def _moved(value: Any, recipe: Recipe, checkout: Path) -> Any:
    """A path of the repository's own files leads into the checkout: the policy of that commit, not today's."""
    if isinstance(value, Mapping):
        return {name: _moved(one, recipe, checkout) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_moved(one, recipe, checkout) for one in value]
    if not isinstance(value, str) or not posixpath.isabs(value) or "\0" in value:
        return value
    inside = recipe.inside(value)
    return str(checkout / inside) if inside not in (None, ".") and (checkout / str(inside)).exists() else value


def evaluation_rows(recorded: Recorded, own: Workspace, made: Version) -> tuple[str | None, str]:
    """Where the rows lie on which the run measured, if they are those that were recorded; else None, and why."""
    then = recorded.evidence.evaluation_data if recorded.evidence else None
    if then is None:
        return None, "on which rows it was measured was not recorded."
    around = own.lineage.around(str(Reference(made.model, made.version)))
    found = Neighbours.of(around, version_node(made.model, made.digest).key).evaluation_data
    if not found:
        return None, "the run does not say on which rows it was measured."
    same = [node for node in found if node.content.get("fingerprint") == then]
    if not same:
        return None, "this run was measured on other rows than those that were recorded."
    uri = next((uri for node in same if (uri := node.fact("uri"))), None)
    return (uri, "") if uri else (None, "the run does not say where its rows lie.")


def input_differences(then: Recorded, now: Recorded) -> tuple[str, ...]:
    """What went in that was not the same: rows, code, parameters. Nothing is said of what nobody recorded."""
    found = []
    rows = {one.name: one.fingerprint for one in now.data}
    known = {one.fingerprint for one in now.data if one.fingerprint}
    for part in then.data:
        # The same rows may have two names: one span's evaluation is the next one's training.
        if part.fingerprint in known:
            continue
        if part.name not in rows:
            found.append(f"Nothing was trained on {part.name} this time.")
        elif part.fingerprint and rows[part.name] and part.fingerprint != rows[part.name]:
            found.append(f"{part.name} has other rows than then.")
    if then.code and now.code and then.code != now.code:
        found.append(f"The code was {then.code.commit[:12]} then and is {now.code.commit[:12]} now, or has changes.")
    if names := _differing(_flat(then.parameters), _flat(now.parameters)):
        found.append(f"Parameters differ: {listed(names, _MOST)}.")
    return tuple(found)


def _differing(a: Mapping[str, Any], b: Mapping[str, Any]) -> list[str]:
    return sorted(name for name in {*a, *b} if a.get(name) != b.get(name))


def _flat(value: Any, prefix: str = "") -> dict[str, Any]:
    if not isinstance(value, Mapping):
        return {prefix: plain_json(value)}
    found: dict[str, Any] = {}
    for name, one in value.items():
        found |= _flat(one, f"{prefix}.{name}" if prefix else str(name))
    return found
