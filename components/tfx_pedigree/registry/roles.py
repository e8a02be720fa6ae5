"""Who may do what: the whole of it, as one table and two pure functions.

Each role may do what the roles before it may. A binding gives a principal a role on one model or on all (`*`); the
principal `*` stands for everybody.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from enum import Enum

from tfx_pedigree.role import Role

EVERYBODY = "*"
EVERYWHERE = "*"


class Action(str, Enum):
    """Every operation that a role can allow or not. The value stands in the audit log."""

    READ = "read"
    RESERVE = "reserve"
    REGISTER = "register"
    ANNOTATE = "annotate"
    DESCRIBE = "describe"
    ATTACH_EVIDENCE = "attach-evidence"
    RECORD_LINEAGE = "record-lineage"
    RETRAIN = "retrain"
    REPRODUCE = "reproduce"
    OBSERVE = "observe"
    PROMOTE_TO_STAGING = "promote-to-staging"
    SET_ALIAS = "set-alias"
    SIGN = "sign"
    TRUST_KEY = "trust-key"
    ARCHIVE = "archive"
    RESTORE = "restore"
    PROMOTE_TO_PRODUCTION = "promote-to-production"
    ARCHIVE_CHAMPION = "archive-champion"
    ROLLBACK = "rollback"
    REQUEST_PROMOTION = "request-promotion"
    APPROVE = "approve"
    REJECT = "reject"
    PROTECT = "protect"
    OVERRIDE_APPROVALS = "override-approvals"
    ROLL_OUT = "roll-out"
    CREATE_TOKEN = "create-token"  # noqa: S105  the name of an action
    REVOKE_TOKEN = "revoke-token"  # noqa: S105
    MANAGE_TOKENS = "manage-tokens-of-others"
    MANAGE_WEBHOOKS = "manage-webhooks"
    GRANT = "grant"
    COLLECT_GARBAGE = "collect-garbage"
    IMPORT = "import"

    def __str__(self) -> str:
        return self.value


LEAST_ROLE: dict[Action, Role] = {
    Action.READ: Role.VIEWER,
    # Of one's own, for which any role anywhere is enough: a token adds nothing to it.
    Action.CREATE_TOKEN: Role.VIEWER,
    Action.REVOKE_TOKEN: Role.VIEWER,
    Action.RESERVE: Role.CONTRIBUTOR,
    Action.REGISTER: Role.CONTRIBUTOR,
    Action.ANNOTATE: Role.CONTRIBUTOR,
    Action.DESCRIBE: Role.CONTRIBUTOR,
    Action.ATTACH_EVIDENCE: Role.CONTRIBUTOR,
    Action.RECORD_LINEAGE: Role.CONTRIBUTOR,
    Action.RETRAIN: Role.CONTRIBUTOR,
    Action.REPRODUCE: Role.CONTRIBUTOR,
    # Who may say what was measured before a promotion may say what was measured after it.
    Action.OBSERVE: Role.CONTRIBUTOR,
    Action.REQUEST_PROMOTION: Role.CONTRIBUTOR,
    # Who filed a request may take it back; of others, those whom the model's protection names.
    Action.REJECT: Role.CONTRIBUTOR,
    Action.PROMOTE_TO_STAGING: Role.REVIEWER,
    Action.APPROVE: Role.REVIEWER,
    Action.SET_ALIAS: Role.REVIEWER,
    Action.SIGN: Role.CONTRIBUTOR,
    Action.TRUST_KEY: Role.ADMIN,
    Action.ARCHIVE: Role.REVIEWER,
    Action.RESTORE: Role.REVIEWER,
    Action.PROMOTE_TO_PRODUCTION: Role.RELEASER,
    Action.ARCHIVE_CHAMPION: Role.RELEASER,
    Action.ROLLBACK: Role.RELEASER,
    Action.ROLL_OUT: Role.RELEASER,
    Action.PROTECT: Role.ADMIN,
    Action.OVERRIDE_APPROVALS: Role.ADMIN,
    Action.MANAGE_TOKENS: Role.ADMIN,
    Action.MANAGE_WEBHOOKS: Role.ADMIN,
    Action.GRANT: Role.ADMIN,
    Action.COLLECT_GARBAGE: Role.ADMIN,
    Action.IMPORT: Role.ADMIN,
}


@dataclass(frozen=True)
class Binding:
    principal: str
    scope: str
    role: Role


@functools.lru_cache
def highest(roles: str | None) -> Role | None:
    """The highest of some roles, as a query strings them together."""
    return max((Role.parse(word) for word in (roles or "").split()), default=None)


def allows(role: Role | None, action: Action) -> bool:
    return role is not None and role >= LEAST_ROLE[action]
