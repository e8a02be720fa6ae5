"""`webhooks`: whom the registry tells what happened."""

from __future__ import annotations

import base64
import secrets
from typing import TYPE_CHECKING

import click

from tfx_pedigree.cli import output
from tfx_pedigree.cli.app import App, pass_app
from tfx_pedigree.cli.columns import Column, Columns
from tfx_pedigree.cli.complete import model_names
from tfx_pedigree.cli.lazy import PedigreeGroup
from tfx_pedigree.text import plural

if TYPE_CHECKING:
    from tfx_pedigree.registry import Delivery, Webhook

_SECRET_BYTES = 32


@click.group(cls=PedigreeGroup)
def webhooks() -> None:
    """Tell other systems what happened in the registry.

    A server (`pedigree server`) sends the events; they are sent until they were taken.
    """


@webhooks.command("add")
@click.argument("name")
@click.argument("url")
@click.option(
    "--event", "events", multiple=True, metavar="ACTION", help="Only this event, such as promote; repeatable."
)
@click.option("--model", shell_complete=model_names, help="Only what happens to this model.")
@click.option("--private", is_flag=True, help="The address is not public: it lies in a network of one's own.")
@pass_app
def add(app: App, *, name: str, url: str, events: tuple[str, ...], model: str | None, private: bool) -> None:
    """Tell the address URL what happens from now on.

    The secret that is printed proves to the receiver who sent an event. It is shown only now.
    """
    from tfx_pedigree.registry import NewWebhook

    secret = _new_secret()
    asked = NewWebhook(name, url, secret, events, model, private)
    with app.open().registry as registry:
        change = registry.add_webhook(asked)
    output.answer({"webhook": change.webhook, "secret": secret}, lambda _: output.say(secret))
    output.note("Give this secret to the receiver; nobody can see it again.")


@webhooks.command("rotate")
@click.argument("name")
@pass_app
def rotate(app: App, name: str) -> None:
    """Make a new secret. For a day, events are signed with the old one as well."""
    secret = _new_secret()
    with app.open().registry as registry:
        change = registry.rotate_webhook(name, secret)
    output.answer({"webhook": change.webhook, "secret": secret}, lambda _: output.say(secret))
    output.note("Give this secret to the receiver; nobody can see it again.")


@webhooks.command("remove")
@click.argument("name")
@pass_app
def remove(app: App, name: str) -> None:
    """Tell it nothing any more."""
    with app.open().registry as registry:
        change = registry.remove_webhook(name)
    output.answer(change, lambda _: output.done(f"Nothing is sent to {name} any more."))


_WEBHOOKS: Columns[Webhook] = Columns(
    {
        "name": Column(lambda one: one.name),
        "url": Column(lambda one: one.url),
        "events": Column(lambda one: ", ".join(one.events) or "all"),
        "model": Column(lambda one: one.model or "all"),
        "taken": Column(lambda one: one.delivered),
        "waiting": Column(lambda one: one.pending),
        "dead": Column(lambda one: one.dead),
        "stopped": Column(lambda one: one.stopped or output.NOTHING),
    }
)


@webhooks.command("list")
@_WEBHOOKS.option
@pass_app
def list_(app: App, columns: list[str] | None) -> None:
    """List the webhooks, and how much each has taken."""
    with app.open().registry as registry:
        found = registry.webhooks()
    then = ("webhooks", "add", "NAME", "https://example.com/hook")
    _WEBHOOKS.answer_all(found, columns, nothing="There is no webhook.", then=then)


_DELIVERIES: Columns[Delivery] = Columns(
    {
        "event": Column(lambda one: one.id),
        "state": Column(lambda one: one.state),
        "tries": Column(lambda one: one.attempts),
        "next": Column(lambda one: one.next_at),
        "last answer": Column(lambda one: one.last_error or output.NOTHING),
    }
)


@webhooks.command("waiting")
@click.argument("name")
@_DELIVERIES.option
@pass_app
def waiting(app: App, name: str, columns: list[str] | None) -> None:
    """List the events that a webhook has not taken, and why."""
    with app.open().registry as registry:
        found = registry.deliveries(name)
    _DELIVERIES.answer_all(found, columns, nothing=f"{name} has taken everything.")


@webhooks.command("retry")
@click.argument("name")
@pass_app
def retry(app: App, name: str) -> None:
    """Try again what is not tried any more; a webhook that was stopped goes on."""
    with app.open().registry as registry:
        count = registry.retry_webhook(name)
    output.answer(
        {"changed": count > 0, "webhook": name, "events": count},
        lambda _: output.done(f"{plural(count, 'event')} will be sent to {name} again."),
    )


def _new_secret() -> str:
    return f"whsec_{base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()}"
