"""What the shell offers after TAB: models and versions, read from the registry. Silent where there is none."""

from __future__ import annotations

import click

from tfx_pedigree.cli.app import App
from tfx_pedigree.errors import PedigreeError

_MOST = 200


def model_names(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    try:
        with ctx.ensure_object(App).open().registry as registry:
            names = [model.name for model in registry.models(limit=_MOST).items]
    except PedigreeError:
        return []
    return [name for name in names if name.startswith(incomplete)]


def references(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Models first; after `@` the model's versions and aliases."""
    model, at, _ = incomplete.partition("@")
    if not at:
        return [f"{name}@" for name in model_names(ctx, param, incomplete)]
    try:
        with ctx.ensure_object(App).open().registry as registry:
            versions = registry.versions(model, limit=_MOST).items
    except PedigreeError:
        return []
    selectors = [alias for version in versions for alias in version.aliases]
    selectors += [version.version for version in versions]
    return [text for selector in selectors if (text := f"{model}@{selector}").startswith(incomplete)]
