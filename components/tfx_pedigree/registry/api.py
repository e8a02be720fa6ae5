"""What a registry can be asked and told, wherever it is: all arguments and all results have a JSON form.

`Registry` is the local implementation. Whoever only asks takes a `VersionQuestions`, whoever changes versions a
`VersionChanges`; a use case that needs both takes a `RegistryApi`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Protocol, TypeVar

from tfx_pedigree.json_form import Bounds
from tfx_pedigree.progress import Progress, silent
from tfx_pedigree.registry.anchor import Anchor, AuditReport
from tfx_pedigree.registry.approvals import (
    DAYS,
    ApprovalRequest,
    Days,
    Number,
    Protection,
    ProtectionChange,
    RequestChange,
)
from tfx_pedigree.registry.decisions import PromotionRequest
from tfx_pedigree.registry.differences import VersionDiff
from tfx_pedigree.registry.events import Event
from tfx_pedigree.registry.evidence import Evidence
from tfx_pedigree.registry.names import Reference
from tfx_pedigree.registry.observations import NewObservation, Observation, ObservationChange
from tfx_pedigree.registry.records import (
    ChampionPeriod,
    Grant,
    Judgement,
    Model,
    ModelOverview,
    Page,
    PromotionPreview,
    RoleChange,
    Version,
    VersionChange,
)
from tfx_pedigree.registry.registration import Candidate, Facts
from tfx_pedigree.registry.roles import EVERYWHERE, Action
from tfx_pedigree.registry.search import Term
from tfx_pedigree.registry.signatures import Signature, Trust, TrustChange
from tfx_pedigree.registry.tokens import NewToken, Token, TokenChange
from tfx_pedigree.registry.webhooks import Delivery, NewWebhook, Webhook, WebhookChange
from tfx_pedigree.role import Role
from tfx_pedigree.versioning import ModelDescription, Request

R = TypeVar("R")

PAGE = 50
# Of a page; `every` asks for as many as are handled well at once, LARGEST_PAGE.
Limit = Annotated[int, Bounds(1, 1000)]


class JudgementQuestions(Protocol):
    """What the gate said of versions, and what that allows. A reader's role on the model is enough."""

    def evidence(self, reference: str | Reference) -> Evidence | None:
        """The newest evidence of a version, which decides whether it may be promoted; None if it has none."""
        ...

    def evidence_by_version(self, model: str, versions: Sequence[str] = ()) -> dict[str, Evidence]:
        """The newest evidence of each of these numbers that has any, at most as many as a page holds."""
        ...

    def judgements(self, model: str, *, limit: Limit = PAGE, after: str | None = None) -> Page[Judgement]:
        """All evidence that was ever filed about a model's versions, newest first."""
        ...

    def preview_promotion(
        self, reference: str | Reference, request: PromotionRequest | None = None
    ) -> PromotionPreview:
        """What `promote` would say now: role, state, champion and gate. Nothing is changed, and no event is written."""
        ...


class VersionQuestions(JudgementQuestions, Protocol):
    """Questions about models and versions. A reader's role on the model is enough.

    A reference is `MODEL@SELECTOR`: a number (`flight-delay@1.2.0`), `@champion`, `@latest`, a digest or its beginning
    (`@sha256:…`), a sequence (`@7`), an alias, or a timestamp tag. Long answers come in pages: `after` takes the `next`
    of the page before, and `every` walks through all of them.
    """

    def models(self, *, limit: Limit = PAGE, after: str | None = None) -> Page[Model]:
        """All models, by name."""
        ...

    def model(self, name: str) -> Model:
        """One model, with the number of its champion."""
        ...

    def revision(self, model: str) -> str:
        """Changes with everything that is written to the model: versions, states, aliases, evidence, notes. It costs
        one row, found by its key: whoever keeps an answer learns from it whether to ask again."""
        ...

    def overview(self, *, matching: str = "", limit: Limit = PAGE, after: str | None = None) -> Page[ModelOverview]:
        """Models by name with what serves now; of those whose name holds `matching`, where it is given."""
        ...

    def get(self, reference: str | Reference) -> Version:
        """The one version that the reference means; NotFoundError with near names if there is none."""
        ...

    def versions(self, model: str, *, limit: Limit = PAGE, after: str | None = None) -> Page[Version]:
        """All versions of a model, newest first, the reserved and archived ones too."""
        ...

    def search(
        self, model: str, terms: Sequence[str | Term], *, limit: Limit = PAGE, after: str | None = None
    ) -> Page[Version]:
        """Versions for which all terms hold (`metric.auc>=0.9`, `state=staging`, `tag.team=ops`, `created>2026-11-01`).

        Best first by the first metric that is compared, else newest first.
        """
        ...

    def newest_by_tag(self, model: str, key: str) -> dict[str, Version]:
        """For each value of a tag the newest version that carries it."""
        ...

    def description(self, reference: str | Reference) -> ModelDescription:
        """What the model is to those who use it: its interface, variables, operations and parameters."""
        ...

    def compare(self, old: str | Reference, new: str | Reference) -> VersionDiff:
        """Two versions of one model side by side: metrics, parameters, interface, and what kind of change it is."""
        ...

    def at(self, model: str, when: datetime) -> Version | None:
        """The version that was in production at that moment, as it stands now; None if there was none."""
        ...

    def reigns(self, model: str, version: str | None = None, *, limit: Limit = PAGE) -> tuple[ChampionPeriod, ...]:
        """When which version was champion, newest first; of one version where one is named."""
        ...

    def aliases(self, model: str) -> dict[str, str]:
        """The aliases that people gave, each with the number of its version."""
        ...

    def history(
        self,
        model: str | None,
        version: str | None = None,
        *,
        action: str | None = None,
        limit: Limit = PAGE,
        after: str | None = None,
    ) -> Page[Event]:
        """Events, newest first: of a model, of one version, or (without a model) of the registry itself; only those of
        one action, where it is named."""
        ...

    def notes(self, model: str, action: Action, *, limit: Limit = PAGE, after: str | None = None) -> Page[Event]:
        """The notes of one kind, newest first; none for a model that does not exist yet."""
        ...


class VersionChanges(Protocol):
    """Changes to versions. Each is one transaction with the event that tells of it, and is refused where the actor's
    role does not allow it. Repeating one that is done changes nothing, and the answer says so."""

    def reserve(self, model: str, candidate: Candidate, request: Request | None = None) -> VersionChange:
        """A number for these bytes; the one that they have if they were reserved before. Makes the model if needed."""
        ...

    def register(
        self, reference: str | Reference, facts: Facts | None = None, evidence: Evidence | None = None
    ) -> VersionChange:
        """Makes a reserved version a registered one, with its metrics, tags and evidence."""
        ...

    def add(
        self,
        model: str,
        candidate: Candidate,
        request: Request | None = None,
        facts: Facts | None = None,
        evidence: Evidence | None = None,
    ) -> VersionChange:
        """Reserves and registers in one transaction. Makes the model if needed."""
        ...

    def annotate(self, reference: str | Reference, facts: Facts) -> VersionChange:
        """Adds or changes metrics and tags; an empty tag takes the tag away."""
        ...

    def attach_evidence(self, reference: str | Reference, evidence: Evidence) -> VersionChange:
        """Keeps evidence with the version that it judges; the newest decides. The same evidence twice is one."""
        ...

    def promote(self, reference: str | Reference, request: PromotionRequest | None = None) -> VersionChange:
        """To staging or production. Compare-and-swap: refused if the champion is not the one that the request, or
        else the evidence, names. The bytes are for the caller to check before."""
        ...

    def rollback(self, model: str, *, reason: str, to: str | None = None, expect: str | None = None) -> VersionChange:
        """The previous champion serves again, in one step; with `to`, any version that was champion before."""
        ...

    def archive(self, reference: str | Reference, *, reason: str) -> VersionChange:
        """Takes a version out of use until it is restored. If it is the champion, its model then has none."""
        ...

    def restore(self, reference: str | Reference, *, reason: str | None = None) -> VersionChange:
        """Takes an archived version back into use; it then stands in development, or is reserved as it was."""
        ...

    def set_alias(self, alias: str, reference: str | Reference) -> VersionChange:
        """Lets the alias mean this version from now on."""
        ...

    def remove_alias(self, model: str, alias: str) -> VersionChange:
        """Forgets an alias; the answer has the version that it meant."""
        ...

    def note(
        self,
        model: str,
        action: Action,
        *,
        reason: str | None,
        details: Mapping[str, Any],
        subject: str | None = None,
        expect: int | None = None,
    ) -> Event:
        """An event that changes no version; it makes the model if there is none.

        With `expect`, the position of the newest note of this action that the caller has seen (0: none), it is refused
        if there is a newer one.
        """
        ...


class Observations(Protocol):
    """What was measured of versions while they served: a series for each version and metric, to which is only added."""

    def observe(self, reference: str | Reference, observation: NewObservation) -> ObservationChange:
        """Adds values to a version's series. The same value of the same source for the same time is one; another value
        for it is refused. Nothing is observed of a version before it was made."""
        ...

    def observations(
        self,
        model: str,
        version: str | None = None,
        *,
        metric: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        limit: Limit = PAGE,
        after: str | None = None,
    ) -> Page[Observation]:
        """What was observed of a model, or of one version, by the time at which it ended, newest first; of one metric,
        and only what ended from `since` to `until`, where they are given."""
        ...

    def observed_metrics(self, model: str, version: str) -> tuple[str, ...]:
        """The names of the series that a version has."""
        ...


class Administration(Protocol):
    """Roles, and whether the log is true."""

    def grants(self) -> tuple[Grant, ...]:
        """Who has which role where."""
        ...

    def grant(self, principal: str, role: Role, scope: str = EVERYWHERE) -> RoleChange:
        """Gives a role, on one model or everywhere; it takes the place of the one that the principal has there.
        The model need not exist yet."""
        ...

    def revoke(self, principal: str, scope: str = EVERYWHERE) -> RoleChange:
        """Takes the role away that the principal has on the model, or everywhere."""
        ...

    def require(self, action: Action, model: str | None = None) -> None:
        """Raises ForbiddenError unless the actor may do this: for work outside a transaction, before it begins."""
        ...

    def role(self, model: str | None = None) -> Role | None:
        """What the actor may do at the most, on the model or on the registry as a whole; None for somebody who may not
        even read. Nothing is refused or logged: for who offers only what can be done."""
        ...

    def verify_audit(self, anchor: Anchor | None = None, progress: Progress = silent) -> AuditReport:
        """Whether every chain of events is whole, and the rows are what the events add up to."""
        ...

    def anchor(self) -> Anchor:
        """The ends of all chains now: kept elsewhere, it shows later that nobody rewrote history."""
        ...


class Tokens(Protocol):
    """Credentials for a server. Of their own everybody takes care, of those of others an admin."""

    def create_token(self, asked: NewToken) -> TokenChange:
        """A token for oneself or, as an admin, for somebody else. It never reaches further than its owner's roles, nor
        than the token with which it is made; nor does it outlive that one, unless an admin makes it."""
        ...

    def tokens(self, principal: str | None = None, *, limit: Limit = PAGE, after: str | None = None) -> Page[Token]:
        """One's own tokens, or those of somebody else, or of everybody (`*`), newest first, the revoked ones too."""
        ...

    def revoke_token(self, token_id: str) -> TokenChange:
        """From now on nobody can do anything with it. What was done with it stays in the log under its id."""
        ...


class Signatures(Protocol):
    """Who signed which version, and whose signature a model asks for."""

    def sign(self, reference: str | Reference, bundle: str) -> VersionChange:
        """Keeps a signature with its version: a bundle that names the version's digest. Where the model has trusted
        keys, one of them must have made it. The same signature twice is one."""
        ...

    def signatures(self, reference: str | Reference) -> tuple[Signature, ...]:
        """The signatures of a version, oldest first, each with the trusted key that it rests on."""
        ...

    def trust_key(self, model: str, pem: str, *, reason: str | None = None) -> TrustChange:
        """From now on only versions that a trusted key signed become champion. `pem` is a public key, or a certificate
        whose holders are trusted. Makes the model if needed."""
        ...

    def distrust_key(self, model: str, key: str, *, reason: str) -> TrustChange:
        """Takes a key's trust away. Without any trusted key, nothing needs a signature."""
        ...

    def trusted_keys(self, model: str) -> tuple[Trust, ...]:
        """Whose signatures count for a model; where there is one, only signed versions become champion."""
        ...


class Approvals(Protocol):
    """Models of which only approved versions become champion, and the requests that wait for approvals.

    A request binds the version's bytes, its newest evidence, the champion that it would replace and the protection of
    the model: when one of them changes, it is void for good. Going back (`rollback`) never needs one.
    """

    def protection(self, model: str) -> Protection | None:
        """How many must approve a new champion of the model, and who may; None where nobody must."""
        ...

    def protect(self, model: str, approvals_needed: Number, approvers: str = "reviewer") -> ProtectionChange:
        """From now on a version becomes champion only when so many have approved it: people with at least this role,
        or the members of `group:NAME`; never who filed the request. Changing it voids the requests that are open."""
        ...

    def unprotect(self, model: str, *, reason: str) -> ProtectionChange:
        """Who may promote needs nobody's approval any more."""
        ...

    def request_promotion(
        self, reference: str | Reference, *, comment: str | None = None, days: Days = DAYS
    ) -> RequestChange:
        """Asks for approvals; the request that is open for the version already stays the one. Refused where `promote`
        would refuse the version however many approve it."""
        ...

    def approve(self, model: str, number: Number, *, comment: str | None = None) -> RequestChange:
        """One approval, by the actor. With enough of them, whoever may promote can do so."""
        ...

    def reject(self, model: str, number: Number, *, reason: str) -> RequestChange:
        """Closes a request: rejected by one of those who may approve it, or withdrawn by who filed it."""
        ...

    def approval_request(self, model: str, number: Number) -> ApprovalRequest:
        """One request, as it stands now."""
        ...

    def approval_requests(
        self, model: str | None = None, *, only_open: bool = True, limit: Limit = PAGE, after: str | None = None
    ) -> Page[ApprovalRequest]:
        """Requests, newest first: those that can still lead to a promotion, or all; of one model or of every one. A
        page may hold less than `limit`."""
        ...


class Webhooks(Protocol):
    """Whom the registry tells what happened. Only an admin reads or changes them."""

    def webhooks(self) -> tuple[Webhook, ...]:
        """All webhooks by name, and how much each has taken. Never with a secret."""
        ...

    def add_webhook(self, webhook: NewWebhook) -> WebhookChange:
        """From now on, events are sent to it. What happened before is not."""
        ...

    def remove_webhook(self, name: str) -> WebhookChange:
        """Nothing is sent to it any more, also not what was still to be sent."""
        ...

    def rotate_webhook(self, name: str, secret: str) -> WebhookChange:
        """What is sent is signed with a new secret, and for a day with the old one as well."""
        ...

    def deliveries(self, name: str, *, limit: Limit = PAGE) -> tuple[Delivery, ...]:
        """What a webhook has not taken: first what is not tried any more, then what is tried next."""
        ...

    def retry_webhook(self, name: str) -> int:
        """What is not tried any more is tried again, and a webhook that was stopped goes on. How many events those
        are."""
        ...


class RegistryApi(
    VersionQuestions,
    VersionChanges,
    Observations,
    Signatures,
    Administration,
    Tokens,
    Approvals,
    Webhooks,
    Protocol,
):
    """A registry, used by one actor."""

    @property
    def actor(self) -> str:
        """Who acts; stands in the audit log."""
        ...

    @property
    def url(self) -> str:
        """Where the registry is, without a password."""
        ...

    def close(self) -> None:
        """Gives connections back. The registry cannot be used after it."""
        ...

    def __enter__(self: R) -> R:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
