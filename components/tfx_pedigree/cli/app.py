"""What all commands share: the common options, the settings they lead to, and the registry that is opened with them."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from tfx_pedigree.errors import NotFoundError

if TYPE_CHECKING:
    from tfx_pedigree.service.workspace import Workspace
    from tfx_pedigree.settings import Settings


@dataclass
class App:
    """One run of the command line. The options are filled in while arguments are read. Tests give a `clock`."""

    registry: str | None = None
    store: str | None = None
    actor: str | None = None
    config: str | None = None
    json: bool = False
    quiet: bool = False
    clock: Callable[[], datetime] | None = None

    @functools.cached_property
    def settings(self) -> Settings:
        from tfx_pedigree.settings import load

        return load(registry=self.registry, store=self.store, actor=self.actor, config=self.config)

    @property
    def opening(self) -> dict[str, Any]:
        """What `connect` and `Registry.create` take beside the address."""
        arguments: dict[str, Any] = {"actor": self.settings.actor_at_registry, "store": self.settings.store}
        return arguments if self.clock is None else {**arguments, "clock": self.clock}

    def open(self) -> Workspace:
        from tfx_pedigree.service.workspace import connect

        try:
            return connect(self.settings.registry, **self.opening)
        except NotFoundError as error:
            source = self.settings.sources["registry"]
            raise NotFoundError(
                f"{error} This address is the {source}; give another one with --registry or PEDIGREE_REGISTRY."
                if source == "default"
                else f"{error} This address comes from {source}."
            ) from None


pass_app = click.make_pass_decorator(App, ensure=True)


def asked() -> App:
    """What the command that is running now was asked for."""
    context = click.get_current_context(silent=True)
    return (context.find_object(App) if context else None) or App()


def common_options(*, hidden: bool = False) -> list[click.Parameter]:
    """Accepted before and after a command's name; the one after it wins."""

    def option(name: str, text: str, metavar: str | None = None, hide: bool = hidden) -> click.Option:
        kind: dict[str, Any] = {"metavar": metavar} if metavar else {"is_flag": True, "default": None}
        return click.Option([name], help=text, hidden=hide, callback=_remember, expose_value=False, **kind)

    return [
        option("--registry", "Folder, database file or URL of the registry.", "ADDRESS"),
        option("--store", "Folder or URL of the store, if it is not where the registry says.", "ADDRESS"),
        option("--actor", "Who acts; recorded in the audit log.", "NAME"),
        option("--config", "Configuration file (YAML or TOML).", "FILE"),
        option("--json", "Print JSON, also for errors.", hide=False),
        option("--quiet", "Print only answers and errors."),
    ]


def _remember(ctx: click.Context, param: click.Parameter, value: Any) -> None:
    if value is not None and param.name:
        setattr(ctx.ensure_object(App), param.name, value)
