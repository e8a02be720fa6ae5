"""The webhooks of a local registry (see `api.Webhooks`)."""

from __future__ import annotations

from tfx_pedigree.registry import webhooks
from tfx_pedigree.registry.api import PAGE, Webhooks
from tfx_pedigree.registry.roles import Action
from tfx_pedigree.registry.transactions import Transactions
from tfx_pedigree.registry.webhooks import Delivery, NewWebhook, Webhook, WebhookChange


class LocalWebhooks(Webhooks):
    transactions: Transactions

    def webhooks(self) -> tuple[Webhook, ...]:
        self.transactions.require(Action.MANAGE_WEBHOOKS, None)
        with self.transactions.reading(None) as connection:
            return webhooks.webhooks(connection)

    def add_webhook(self, webhook: NewWebhook) -> WebhookChange:
        with self.transactions.administering(Action.MANAGE_WEBHOOKS) as write:
            return webhooks.add(write, webhook)

    def remove_webhook(self, name: str) -> WebhookChange:
        with self.transactions.administering(Action.MANAGE_WEBHOOKS) as write:
            return webhooks.remove(write, name)

    def rotate_webhook(self, name: str, secret: str) -> WebhookChange:
        with self.transactions.administering(Action.MANAGE_WEBHOOKS) as write:
            return webhooks.change_secret(write, name, secret)

    def deliveries(self, name: str, *, limit: int = PAGE) -> tuple[Delivery, ...]:
        self.transactions.require(Action.MANAGE_WEBHOOKS, None)
        with self.transactions.reading(None) as connection:
            return webhooks.deliveries(connection, name, limit)

    def retry_webhook(self, name: str) -> int:
        with self.transactions.administering(Action.MANAGE_WEBHOOKS) as write:
            return webhooks.try_again(write, name)
