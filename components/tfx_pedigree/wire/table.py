"""The operations of `/api/v1`. A released line stays, new ones are added: a golden list in the tests holds it."""

from __future__ import annotations

from tfx_pedigree.lineage.api import LineageApi
from tfx_pedigree.registry import RegistryApi, Role
from tfx_pedigree.rollout.api import RolloutApi
from tfx_pedigree.wire.about import ServerApi
from tfx_pedigree.wire.operation import Kind, Operation
from tfx_pedigree.wire.store import StoreApi

PREFIX = "/api/v1"
_MODEL = "/models/{model}"
_VERSION = f"{_MODEL}/versions/{{selector}}"


def _registry(name: str, method: str, path: str, role: Role, kind: Kind) -> Operation:
    return Operation(RegistryApi, name, method, path, role, kind)


def _question(name: str, path: str, method: str = "GET") -> Operation:
    return _registry(name, method, path, Role.VIEWER, Kind.QUESTION)


def _change(name: str, path: str, role: Role, method: str = "POST") -> Operation:
    return _registry(name, method, path, role, Kind.CHANGE)


def _lineage(name: str, path: str, method: str = "GET", kind: Kind = Kind.QUESTION) -> Operation:
    return Operation(LineageApi, name, method, f"/lineage/{path}", Role.VIEWER, kind)


REGISTRY: tuple[Operation, ...] = (
    _question("models", "/models"),
    _question("model", "/models/{name}"),
    _question("overview", "/overview"),
    _question("get", _VERSION),
    _question("versions", f"{_MODEL}/versions"),
    _question("search", f"{_MODEL}/search"),
    _question("revision", f"{_MODEL}/revision"),
    _question("newest_by_tag", f"{_MODEL}/newest-by-tag"),
    _question("description", f"{_VERSION}/description"),
    _question("evidence", f"{_VERSION}/evidence"),
    _question("evidence_by_version", f"{_MODEL}/evidence"),
    _question("compare", "/compare"),
    _question("at", f"{_MODEL}/at"),
    _question("reigns", f"{_MODEL}/reigns"),
    _question("aliases", f"{_MODEL}/aliases"),
    _question("history", "/history"),
    _question("preview_promotion", f"{_VERSION}/preview-promotion", "POST"),
    _question("notes", f"{_MODEL}/notes/{{action}}"),
    _change("reserve", f"{_MODEL}/reserve", Role.CONTRIBUTOR),
    _change("register", f"{_VERSION}/register", Role.CONTRIBUTOR),
    _change("add", f"{_MODEL}/versions", Role.CONTRIBUTOR),
    _change("annotate", f"{_VERSION}/annotate", Role.CONTRIBUTOR),
    _change("attach_evidence", f"{_VERSION}/evidence", Role.CONTRIBUTOR),
    _change("promote", f"{_VERSION}/promote", Role.REVIEWER),
    _change("rollback", f"{_MODEL}/rollback", Role.RELEASER),
    _change("archive", f"{_VERSION}/archive", Role.REVIEWER),
    _change("restore", f"{_VERSION}/restore", Role.REVIEWER),
    _change("set_alias", f"{_MODEL}/aliases/{{alias}}", Role.REVIEWER, "PUT"),
    _change("remove_alias", f"{_MODEL}/aliases/{{alias}}", Role.REVIEWER, "DELETE"),
    _change("note", f"{_MODEL}/notes/{{action}}", Role.CONTRIBUTOR),
    _change("observe", f"{_VERSION}/observations", Role.CONTRIBUTOR),
    _question("observations", f"{_MODEL}/observations"),
    _question("observed_metrics", f"{_MODEL}/observed-metrics"),
    _question("signatures", f"{_VERSION}/signatures"),
    _change("sign", f"{_VERSION}/signatures", Role.CONTRIBUTOR),
    _question("trusted_keys", f"{_MODEL}/trusted-keys"),
    _change("trust_key", f"{_MODEL}/trusted-keys", Role.ADMIN),
    _change("distrust_key", f"{_MODEL}/trusted-keys/{{key}}", Role.ADMIN, "DELETE"),
    _registry("webhooks", "GET", "/webhooks", Role.ADMIN, Kind.QUESTION),
    _change("add_webhook", "/webhooks", Role.ADMIN),
    _change("remove_webhook", "/webhooks/{name}", Role.ADMIN, "DELETE"),
    _change("rotate_webhook", "/webhooks/{name}/secret", Role.ADMIN),
    _registry("deliveries", "GET", "/webhooks/{name}/deliveries", Role.ADMIN, Kind.QUESTION),
    _change("retry_webhook", "/webhooks/{name}/retry", Role.ADMIN),
    _question("grants", "/roles"),
    _change("grant", "/roles/grant", Role.ADMIN),
    _change("revoke", "/roles/revoke", Role.ADMIN),
    _question("role", "/roles/mine"),
    _question("require", "/roles/require"),
    _change("create_token", "/tokens", Role.VIEWER),
    _question("tokens", "/tokens"),
    _change("revoke_token", "/tokens/{token_id}/revoke", Role.VIEWER),
    _question("judgements", f"{_MODEL}/judgements"),
    _question("protection", f"{_MODEL}/protection"),
    _change("protect", f"{_MODEL}/protection", Role.ADMIN, "PUT"),
    _change("unprotect", f"{_MODEL}/unprotect", Role.ADMIN),
    _change("request_promotion", f"{_VERSION}/request", Role.CONTRIBUTOR),
    _change("approve", f"{_MODEL}/requests/{{number}}/approve", Role.REVIEWER),
    _change("reject", f"{_MODEL}/requests/{{number}}/reject", Role.CONTRIBUTOR),
    _question("approval_request", f"{_MODEL}/requests/{{number}}"),
    _question("approval_requests", "/requests"),
    _question("verify_audit", "/audit/verify", "POST"),
    _question("anchor", "/audit/anchor"),
)

LINEAGE: tuple[Operation, ...] = (
    Operation(LineageApi, "record", "POST", "/lineage/record", Role.CONTRIBUTOR, Kind.CHANGE),
    _lineage("find", "find"),
    _lineage("find_all", "find-all"),
    _lineage("get_upstream", "upstream"),
    _lineage("get_downstream", "downstream"),
    _lineage("get_lineage", "lineage"),
    _lineage("stream", "stream", kind=Kind.STREAM),
    _lineage("path", "path"),
    _lineage("impact", "impact", "POST"),
    _lineage("standing", "standing"),
    _lineage("around", "around"),
    _lineage("explain", "explain"),
    _lineage("diff", "diff"),
    _lineage("verify", "verify", "POST"),
)

STORE = (
    Operation(StoreApi, "missing", "POST", "/store/missing", Role.CONTRIBUTOR, Kind.QUESTION),
    Operation(StoreApi, "verify", "POST", "/store/verify", Role.VIEWER, Kind.QUESTION),
)

ROLLOUTS: tuple[Operation, ...] = (
    Operation(RolloutApi, "rollouts", "GET", "/rollouts", Role.VIEWER, Kind.QUESTION),
    Operation(RolloutApi, "rollout", "GET", f"{_MODEL}/rollouts/status", Role.VIEWER, Kind.QUESTION),
    Operation(RolloutApi, "champion", "GET", f"{_MODEL}/rollouts/champion", Role.VIEWER, Kind.QUESTION),
    Operation(RolloutApi, "verdict", "GET", f"{_MODEL}/rollouts/verdict", Role.VIEWER, Kind.QUESTION),
    Operation(RolloutApi, "verdict_hook", "POST", f"{_MODEL}/rollouts/verdict-hook", Role.VIEWER, Kind.QUESTION),
    Operation(RolloutApi, "start_rollout", "POST", f"{_MODEL}/rollouts", Role.RELEASER, Kind.CHANGE),
    Operation(RolloutApi, "deploy", "POST", f"{_MODEL}/rollouts/deploy", Role.RELEASER, Kind.CHANGE),
    Operation(RolloutApi, "promote_and_deploy", "POST", f"{_VERSION}/promote-and-deploy", Role.RELEASER, Kind.CHANGE),
    Operation(RolloutApi, "roll_back", "POST", f"{_MODEL}/rollouts/roll-back", Role.RELEASER, Kind.CHANGE),
    Operation(RolloutApi, "ask", "POST", f"{_MODEL}/rollouts/ask", Role.RELEASER, Kind.CHANGE),
)

ABOUT = Operation(ServerApi, "about", "GET", "/about", Role.VIEWER, Kind.QUESTION)

OPERATIONS = (ABOUT, *REGISTRY, *LINEAGE, *STORE, *ROLLOUTS)
