"""The command `pedigree`: the list of its commands, and the boundary at which every refusal becomes an exit code.

Imports nothing but Click and what is light: a command's own module is imported when the command is run.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, NoReturn

import click

from tfx_pedigree import __version__
from tfx_pedigree.cli import exits
from tfx_pedigree.cli.app import App, common_options
from tfx_pedigree.cli.lazy import Lazy, LazyGroup
from tfx_pedigree.errors import PedigreeError
from tfx_pedigree.text import visible

_HERE = "tfx_pedigree.cli"
SECTIONS = {
    "Look": {
        "models": Lazy(f"{_HERE}.models:models", "List the models of the registry."),
        "versions": Lazy(f"{_HERE}.models:versions", "List a model's versions, newest first."),
        "show": Lazy(f"{_HERE}.show:show", "Show all that is known of one version."),
        "search": Lazy(f"{_HERE}.models:search", "Find versions by metric, state, tag or time."),
        "compare": Lazy(f"{_HERE}.compare:compare", "Put two versions side by side."),
        "history": Lazy(f"{_HERE}.history:history", "Show who did what, when and why."),
        "at": Lazy(f"{_HERE}.history:at", "Tell which version was champion at a given time."),
        "performance": Lazy(f"{_HERE}.observations:performance", "Draw how a model did while it served."),
    },
    "Trace": {
        "explain": Lazy(f"{_HERE}.lineage.explain:explain", "Tell in plain sentences how a version was made."),
        "diff": Lazy(f"{_HERE}.lineage.diff:diff", "Tell what was made differently between two versions."),
        "lineage": Lazy(f"{_HERE}.lineage:lineage", "Show where something came from and what came of it."),
        "impact": Lazy(f"{_HERE}.lineage.impact:impact", "Tell which versions some data or code went into."),
        "path": Lazy(f"{_HERE}.lineage.path:path", "Show how one thing leads to another."),
        "reproduce": Lazy(
            f"{_HERE}.reproduce:reproduce", "Make a version once more, and say how far it came out the same."
        ),
    },
    "Train": {
        "pipeline": Lazy(f"{_HERE}.pipelines:pipeline", "Run a training pipeline with Pedigree's components."),
    },
    "Register": {
        "register": Lazy(f"{_HERE}.register:register", "Store a trained model and give it a version."),
        "describe": Lazy(f"{_HERE}.describe:describe", "Show or change a model's description."),
        "tag": Lazy(f"{_HERE}.register:tag", "Set or remove tags of a version."),
        "evidence": Lazy(f"{_HERE}.evidence:evidence", "Attach, show or replay the evidence for a decision."),
        "alias": Lazy(f"{_HERE}.alias:alias", "Give versions names of your own."),
        "git": Lazy(f"{_HERE}.git:git", "Keep versions in step with tags of a git repository."),
    },
    "Decide": {
        "gate": Lazy(f"{_HERE}.gate:gate", "Ask the gate about numbers in files, or what a policy demands."),
    },
    "Move": {
        "promote": Lazy(f"{_HERE}.transitions:promote", "Bring a version to staging or production."),
        "request": Lazy(f"{_HERE}.approvals:request", "Ask for the approvals that a version needs to become champion."),
        "approve": Lazy(f"{_HERE}.approvals:approve", "Approve a request to promote."),
        "reject": Lazy(f"{_HERE}.approvals:reject", "Close a request to promote, or take back your own."),
        "requests": Lazy(f"{_HERE}.approvals:requests", "List requests to promote that wait for approvals."),
        "rollback": Lazy(f"{_HERE}.transitions:rollback", "Make the previous champion serve again."),
        "archive": Lazy(f"{_HERE}.transitions:archive", "Take a version out of use."),
        "restore": Lazy(f"{_HERE}.transitions:restore", "Take an archived version back into use."),
    },
    "Serve": {
        "rollout": Lazy(f"{_HERE}.rollouts:rollout", "Let a version take over the traffic step by step."),
        "deploy": Lazy(f"{_HERE}.serving:deploy", "Bring the traffic of a model to its champion."),
        "serving-config": Lazy(
            f"{_HERE}.serving_config:serving_config", "Write TensorFlow Serving's model config file."
        ),
        "serving": Lazy(f"{_HERE}.serving:serving", "Show what should serve, and what does."),
        "observe": Lazy(f"{_HERE}.observations:observe", "Add what was measured of a version while it served."),
        "monitor": Lazy(f"{_HERE}.monitor:monitor", "Add to the observations what Prometheus knows."),
        "observations": Lazy(f"{_HERE}.observations:observations", "List what was observed, newest first."),
    },
    "Bytes": {
        "pull": Lazy(f"{_HERE}.content:pull", "Write a version's files to a folder."),
        "verify": Lazy(f"{_HERE}.content:verify", "Check the stored files and tell what is damaged."),
        "gc": Lazy(f"{_HERE}.content:gc", "Find or delete bytes that no version needs."),
        "export": Lazy(f"{_HERE}.transfer:export", "Write a model with its history to one file."),
        "import": Lazy(f"{_HERE}.transfer:import_", "Bring a model from an exported file."),
        "import-mlflow": Lazy(f"{_HERE}.mlflow:import_mlflow", "Bring in the models of an MLflow registry."),
        "export-mlflow": Lazy(f"{_HERE}.mlflow:export_mlflow", "Bring models to an MLflow registry."),
    },
    "Trust": {
        "audit": Lazy(f"{_HERE}.audit:audit", "Check the audit log, or anchor it elsewhere."),
        "bom": Lazy(f"{_HERE}.documents:bom", "Write a version's bill of materials."),
        "card": Lazy(f"{_HERE}.documents:card", "Write a version's model card."),
        "attest": Lazy(f"{_HERE}.documents:attest", "Sign a statement about a version."),
        "sign": Lazy(f"{_HERE}.signing:sign", "Sign a version, and keep the signature with it."),
        "webhooks": Lazy(f"{_HERE}.webhooks:webhooks", "Tell other systems what happened in the registry."),
        "trust": Lazy(f"{_HERE}.signing:trust", "Say whose signature a model needs."),
        "roles": Lazy(f"{_HERE}.roles:roles", "Say who may do what."),
        "protect": Lazy(
            f"{_HERE}.approvals:protect",
            "Let versions of a model become champion only when enough people approve.",
        ),
        "tokens": Lazy(f"{_HERE}.tokens:tokens", "Make, list and revoke tokens for a server."),
    },
    "Set up": {
        "init": Lazy(f"{_HERE}.setup:init", "Create a registry and its store."),
        "ui": Lazy(f"{_HERE}.ui:ui", "Look at the registry in a browser, on this computer only."),
        "server": Lazy(f"{_HERE}.server:server", "Serve the registry to a team over HTTP."),
        "config": Lazy(f"{_HERE}.setup:config", "Show the settings and where they come from."),
        "completion": Lazy(f"{_HERE}.setup:completion", "Print the completion script of a shell."),
    },
}


class Pedigree(LazyGroup):
    def main(  # type: ignore[override]  # Click has one signature for ending the process and one for returning
        self, args: Sequence[str] | None = None, prog_name: str | None = None, **extra: Any
    ) -> NoReturn:
        """Always ends the process: no exception leaves it but SystemExit with one of the codes in `exits`."""
        arguments = list(sys.argv[1:] if args is None else args)
        extra["standalone_mode"] = False
        run = partial(super().main, arguments, prog_name, **extra)
        sys.exit(_guarded(run, as_json="--json" in arguments))

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        with _noticing_closed_pipe():
            return super().make_context(*args, **kwargs)

    def invoke(self, ctx: click.Context) -> None:
        with _noticing_closed_pipe():
            try:
                super().invoke(ctx)
            finally:
                sys.stdout.flush()


@contextlib.contextmanager
def _noticing_closed_pipe() -> Iterator[None]:
    """Who read our output went away, as `head` does: that is no error, and nobody is left to be told."""
    try:
        yield
    except BrokenPipeError:
        with contextlib.suppress(OSError):
            # What is still in the buffer would raise again when Python exits.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise click.exceptions.Exit(exits.PIPE_CLOSED) from None


def _guarded(run: Callable[[], Any], *, as_json: bool) -> int:
    try:
        code = run()
    except click.Abort:
        return _tell(
            "interrupted", "Stopped. Nothing was left half done; run the command again.", exits.INTERRUPTED, as_json
        )
    except click.ClickException as error:
        return _tell_usage(error, as_json)
    except PedigreeError as error:
        outcome = exits.outcome_of(error)
        return _tell(outcome.kind, str(error), outcome.code, as_json)
    except OSError as error:
        _show_traceback()
        where = f"{error.filename}: " if error.filename else ""
        return _tell("unavailable", f"{where}{error.strerror or error}.", exits.UNAVAILABLE, as_json)
    except Exception as error:  # noqa: BLE001  the boundary: a person gets a sentence, not a traceback
        _show_traceback()
        return _tell("internal", _bug(error), exits.INTERNAL, as_json)
    return code if isinstance(code, int) else exits.DONE


def _tell_usage(error: click.ClickException, as_json: bool) -> int:
    context = getattr(error, "ctx", None)
    if context is not None and not as_json:
        click.echo(f"{context.get_usage()}\nTry '{context.command_path} --help'.\n", err=True)
    # Click lists the values of an argument with tabs before them.
    return _tell("usage", error.format_message().expandtabs(2), exits.USAGE, as_json)


def _tell(kind: str, message: str, code: int, as_json: bool) -> int:
    from tfx_pedigree.secrets import masked

    text = masked(message)
    if as_json:
        click.echo(json.dumps({"error": {"kind": kind, "message": text}}, ensure_ascii=False), err=True)
    else:
        colour = False if os.environ.get("NO_COLOR") else None
        click.echo(f"{click.style('Error:', fg='red', bold=True)} {visible(text)}", err=True, color=colour)
    return code


def _bug(error: Exception) -> str:
    shown = f"{type(error).__name__}: {error}".splitlines()[0]
    return (
        f"Pedigree itself failed: {shown}. This is a bug, not a mistake of yours. "
        "Please report it with what the same command prints when PEDIGREE_DEBUG=1 is set."
    )


def _show_traceback() -> None:
    if os.environ.get("PEDIGREE_DEBUG") == "1":
        from tfx_pedigree.secrets import masked

        click.echo(masked(traceback.format_exc()), err=True)


@click.command(
    cls=Pedigree,
    sections=SECTIONS,
    params=common_options(),
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="A version is written MODEL@VERSION, where VERSION is a number, champion, latest, an alias or a digest.",
)
@click.version_option(__version__, message="pedigree %(version)s")
@click.pass_context
def cli(ctx: click.Context) -> None:
    """Versions, lineage and gated promotion for the models that TFX pipelines train."""
    ctx.ensure_object(App)


def main() -> NoReturn:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError, OSError):
            # Names from files may not be encodable; that must not hide what else there is to say.
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    cli.main(prog_name="pedigree")
