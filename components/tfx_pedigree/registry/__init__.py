"""The registry: which versions a model has, where each stands, who decided it and on what evidence.

In come digests, descriptions, evidence and orders from a named actor; out go records and events. It never looks into a
model's bytes, and nothing in it is decided by anything but `decisions`, `roles` and `versioning`.
"""

from __future__ import annotations

from tfx_pedigree.registry.anchor import Anchor, AuditReport
from tfx_pedigree.registry.api import (
    Administration,
    Approvals,
    JudgementQuestions,
    Limit,
    Observations,
    RegistryApi,
    Signatures,
    Tokens,
    VersionChanges,
    VersionQuestions,
    Webhooks,
)
from tfx_pedigree.registry.approval_rules import Approval, RequestStatus
from tfx_pedigree.registry.approvals import ApprovalRequest, Number, Protection, ProtectionChange, RequestChange
from tfx_pedigree.registry.decisions import PromotionRequest
from tfx_pedigree.registry.differences import Row, VersionDiff
from tfx_pedigree.registry.events import Event
from tfx_pedigree.registry.evidence import DECIDED, ROLLOUT, WITHHELD_BY, WITHOUT_THEM, Evidence
from tfx_pedigree.registry.identity import Identity, RolesCap
from tfx_pedigree.registry.measures import ChampionGauge, Gauges, LogCounts, Told
from tfx_pedigree.registry.names import CHAMPION, LATEST, Reference, check_model_name, check_text
from tfx_pedigree.registry.observations import NewObservation, Observation, ObservationChange
from tfx_pedigree.registry.once import RequestKey
from tfx_pedigree.registry.outbox import Due, Outbox, Outcome
from tfx_pedigree.registry.records import (
    LARGEST_PAGE,
    ChampionPeriod,
    Grant,
    Judgement,
    Model,
    ModelOverview,
    Page,
    PromotionPreview,
    RoleChange,
    Serving,
    Version,
    VersionChange,
    every,
)
from tfx_pedigree.registry.registration import Candidate, Facts
from tfx_pedigree.registry.registry import Registry
from tfx_pedigree.registry.roles import EVERYWHERE, LEAST_ROLE, Action
from tfx_pedigree.registry.search import parse_time
from tfx_pedigree.registry.sessions import UsedSignIn
from tfx_pedigree.registry.signatures import Signature, Trust, TrustChange
from tfx_pedigree.registry.token_text import TokenText
from tfx_pedigree.registry.tokens import NewToken, Token, TokenChange
from tfx_pedigree.registry.transactions import utc_now
from tfx_pedigree.registry.webhooks import TOLD, Delivery, NewWebhook, Webhook, WebhookChange, check_secret
from tfx_pedigree.role import Role
from tfx_pedigree.states import State
from tfx_pedigree.verdict import Recommendation, Verdict

__all__ = [
    "CHAMPION",
    "DECIDED",
    "EVERYWHERE",
    "LARGEST_PAGE",
    "LATEST",
    "LEAST_ROLE",
    "ROLLOUT",
    "TOLD",
    "WITHHELD_BY",
    "WITHOUT_THEM",
    "Action",
    "Administration",
    "Anchor",
    "Approval",
    "ApprovalRequest",
    "Approvals",
    "AuditReport",
    "Candidate",
    "ChampionGauge",
    "ChampionPeriod",
    "Delivery",
    "Due",
    "Event",
    "Evidence",
    "Facts",
    "Gauges",
    "Grant",
    "Identity",
    "Judgement",
    "JudgementQuestions",
    "Limit",
    "LogCounts",
    "Model",
    "ModelOverview",
    "NewObservation",
    "NewToken",
    "NewWebhook",
    "Number",
    "Observation",
    "ObservationChange",
    "Observations",
    "Outbox",
    "Outcome",
    "Page",
    "PromotionPreview",
    "PromotionRequest",
    "Protection",
    "ProtectionChange",
    "Recommendation",
    "Reference",
    "Registry",
    "RegistryApi",
    "RequestChange",
    "RequestKey",
    "RequestStatus",
    "Role",
    "RoleChange",
    "RolesCap",
    "Row",
    "Serving",
    "Signature",
    "Signatures",
    "State",
    "Token",
    "TokenChange",
    "TokenText",
    "Tokens",
    "Told",
    "Trust",
    "TrustChange",
    "UsedSignIn",
    "Verdict",
    "Version",
    "VersionChange",
    "VersionChanges",
    "VersionDiff",
    "VersionQuestions",
    "Webhook",
    "WebhookChange",
    "Webhooks",
    "check_model_name",
    "check_secret",
    "check_text",
    "every",
    "parse_time",
    "utc_now",
]
