"""`ui`: the registry's pages on one's own computer."""

from __future__ import annotations

import click

from tfx_pedigree.cli import output
from tfx_pedigree.cli.app import App, pass_app
from tfx_pedigree.cli.lazy import PedigreeCommand
from tfx_pedigree.errors import InvalidInputError
from tfx_pedigree.extras import not_installed


@click.command(cls=PedigreeCommand)
@click.option("--port", default=0, type=click.IntRange(0, 65535), help="Where to listen; any free port if left out.")
@click.option("--no-open", is_flag=True, help="Only print the address; open no browser.")
@pass_app
def ui(app: App, port: int, no_open: bool) -> None:
    """Look at the registry in a browser, on this computer only.

    The address that is printed lets one browser in, which then acts as you. It runs until Ctrl-C.
    """
    try:
        from tfx_pedigree.server import ServerSettings
        from tfx_pedigree.server.running import serve_locally
    except ModuleNotFoundError as error:
        raise not_installed(f"The package {error.name}, which the pages need, is", "server") from error
    settings = ServerSettings(registry=app.settings.registry, store=app.settings.store, port=port)
    shown = app.settings.shown("registry")
    if app.settings.is_server:
        raise InvalidInputError(f"{shown} is a server and has these pages itself: open {shown} in a browser.")

    def listening(address: str) -> None:
        output.answer(
            {"registry": shown, "address": address},
            lambda _: output.done(f"{shown} is open at {address} until Ctrl-C. The address works once."),
        )
        if not no_open and not app.json:
            _show(address)

    serve_locally(settings, app.settings.actor, listening)


def _show(address: str) -> None:
    """Where there is a browser; a computer without one has the address."""
    import threading
    import webbrowser

    threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()
