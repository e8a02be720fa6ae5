"""`server`: the registry for a team, over HTTP."""

from __future__ import annotations

from pathlib import Path

import click

from tfx_pedigree.cli import output
from tfx_pedigree.cli.app import App, pass_app
from tfx_pedigree.cli.lazy import PedigreeCommand
from tfx_pedigree.errors import InvalidInputError
from tfx_pedigree.extras import not_installed

_FILE = click.Path(path_type=Path, dir_okay=False)


@click.command(cls=PedigreeCommand)
@click.option("--host", default="127.0.0.1", show_default=True, metavar="ADDRESS", help="Where to listen.")
@click.option("--port", default=8321, show_default=True, type=click.IntRange(0, 65535), help="0 takes any free one.")
@click.option("--workers", default=1, show_default=True, type=click.IntRange(1, 64), help="Processes (PostgreSQL).")
@click.option("--allow-host", multiple=True, metavar="NAME", help="A name by which the server is called; repeatable.")
@click.option("--public-url", metavar="URL", help="Where people find it: https://HOST or https://HOST:PORT.")
@click.option("--certificate", type=_FILE, help="TLS certificate with its chain (PEM).")
@click.option("--key", type=_FILE, help="The certificate's private key (PEM).")
@click.option("--issuers", type=_FILE, help="Issuers whose JWTs are taken, such as those of CI jobs (YAML).")
@click.option("--proxy", "proxies", multiple=True, metavar="NETWORK", help="Where a proxy is; repeatable.")
@click.option("--proxy-header", metavar="NAME", help="In which it says who asks; left out, it names nobody.")
@click.option(
    "--presigned", is_flag=True, help="Clients fetch large files from the store's bucket (S3, GCS) themselves."
)
@click.option("--as", "everybody", metavar="NAME", help="Whoever reaches it acts as NAME; only on this computer.")
@click.option("--controller", is_flag=True, help="Also drive the rollouts, as --actor, to where --config says.")
@pass_app
def server(
    app: App,
    *,
    host: str,
    port: int,
    workers: int,
    allow_host: tuple[str, ...],
    public_url: str | None,
    certificate: Path | None,
    key: Path | None,
    issuers: Path | None,
    proxies: tuple[str, ...],
    proxy_header: str | None,
    presigned: bool,
    everybody: str | None,
    controller: bool,
) -> None:
    """Serve the registry to a team over HTTP.

    It runs until Ctrl-C or SIGTERM, and then ends when the requests at hand are answered. SQLite is served by one
    process, PostgreSQL by any number.
    """
    try:
        from tfx_pedigree.server import PublicUrl, RolloutDriver, ServerSettings, TrustedProxy
        from tfx_pedigree.server.running import serve
    except ModuleNotFoundError as error:
        raise not_installed(f"The package {error.name}, which the server needs, is", "server") from error
    if controller and app.settings.file is None:
        raise InvalidInputError(
            "To drive rollouts, the server must know where models are served. Name a file with a section `serving:` "
            "with --config."
        )
    if proxy_header and not proxies:
        raise InvalidInputError(
            "--proxy-header says how a proxy names people, and not which one is trusted. Say where it is with --proxy "
            "NETWORK."
        )
    settings = ServerSettings(
        registry=app.settings.registry,
        store=app.settings.store,
        host=host,
        port=port,
        workers=workers,
        hosts=allow_host,
        public_url=PublicUrl.of(public_url) if public_url is not None else None,
        certificate=certificate,
        key=key,
        everybody=everybody,
        issuers=issuers,
        presigned=presigned,
        controller=RolloutDriver(app.settings.actor, app.settings.file) if controller and app.settings.file else None,
        proxy=TrustedProxy(proxies, proxy_header.lower() if proxy_header else None) if proxies else None,
    )
    shown = app.settings.shown("registry")
    if settings.in_the_clear:
        output.note(
            f"Without TLS, whoever is between a client and {host} can read its token. Give --certificate and --key, or "
            "--public-url https://HOST where a proxy encrypts."
        )

    def listening(address: str) -> None:
        output.answer(
            {"registry": shown, "address": address}, lambda _: output.done(f"{shown} is served at {address}.")
        )

    serve(settings, listening)
