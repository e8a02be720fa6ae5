"""What the events of the registry's own chain add up to: which models there are, and who may do what. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime

from tfx_pedigree.digest import check_digest
from tfx_pedigree.registry.chain_replay import TELL_ONLY, ChainReplay, require
from tfx_pedigree.registry.events import Event
from tfx_pedigree.role import Role

_OF_WEBHOOKS = ("add-webhook", "remove-webhook", "rotate-webhook", "retry-webhook")


@dataclass(frozen=True)
class ExpectedGrant:
    role: Role
    granted_at: datetime
    granted_by: str


@dataclass(frozen=True)
class ExpectedToken:
    seal: str
    created_at: datetime
    created_by: str
    revoked_at: datetime | None = None
    revoked_by: str | None = None


@dataclass
class RegistryFacts:
    """`models` says when and by whom each was made; None for one that came in an archive."""

    registry_id: object = None
    store_url: object = None
    created_at: datetime | None = None
    created_by: str | None = None
    models: dict[str, tuple[datetime, str] | None] = field(default_factory=dict)
    grants: dict[tuple[str, str], ExpectedGrant] = field(default_factory=dict)
    tokens: dict[str, ExpectedToken] = field(default_factory=dict)


class RegistryReplay(ChainReplay):
    """The chain of the registry itself: which models there are and who may do what."""

    def __init__(self, chain: str) -> None:
        telling = dict.fromkeys((*TELL_ONLY, *_OF_WEBHOOKS), self._tells_only)
        super().__init__(
            chain,
            {
                "create-registry": self._create,
                "create-model": self._create_model,
                "import-model": self._import_model,
                "grant": self._grant,
                "revoke": self._revoke,
                "create-token": self._create_token,
                "revoke-token": self._revoke_token,
                **telling,
            },
        )
        self.facts = RegistryFacts()

    def _create(self, event: Event) -> None:
        require(event.position == 1)
        self.facts.registry_id, self.facts.store_url = event.details["registry"], event.details["store"]
        self.facts.created_at, self.facts.created_by = event.at, event.actor

    def _create_model(self, event: Event) -> None:
        self.facts.models[str(event.details["model"])] = (event.at, event.actor)

    def _import_model(self, event: Event) -> None:
        self.facts.models.setdefault(str(event.details["model"]), None)

    def _grant(self, event: Event) -> None:
        role = Role.parse(event.details["role"])
        self.facts.grants[_binding(event)] = ExpectedGrant(role, event.at, event.actor)

    def _revoke(self, event: Event) -> None:
        del self.facts.grants[_binding(event)]

    def _create_token(self, event: Event) -> None:
        token = str(event.details["token"])
        require(token not in self.facts.tokens)
        self.facts.tokens[token] = ExpectedToken(check_digest(event.details["seal"]), event.at, event.actor)

    def _revoke_token(self, event: Event) -> None:
        token = str(event.details["token"])
        require(self.facts.tokens[token].revoked_at is None)
        self.facts.tokens[token] = replace(self.facts.tokens[token], revoked_at=event.at, revoked_by=event.actor)

    def _tells_only(self, event: Event) -> None:
        """An event that changes neither models nor roles."""


def _binding(event: Event) -> tuple[str, str]:
    return str(event.details["principal"]), str(event.details["scope"])
