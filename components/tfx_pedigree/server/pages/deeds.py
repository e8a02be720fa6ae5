"""What can be done to a version from a page: what it needs, what it will change, and the call that does it.

Pure but for `do`, which is the registry's own operation or a use case.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from tfx_pedigree.errors import ConflictError, InvalidInputError
from tfx_pedigree.registry import Action, Facts, PromotionRequest, Reference, Registry, State, Version
from tfx_pedigree.server.pages.version import DESCRIPTION
from tfx_pedigree.service.promotion import check_first
from tfx_pedigree.service.workspace import Workspace

Form = Mapping[str, str]
NOBODY = "none"


@dataclass(frozen=True)
class Situation:
    """A version as somebody looks at it, and who is champion. `back_to` is the champion that a rollback brings back;
    `judged` says whether there is evidence."""

    version: Version
    champion: str | None
    back_to: str | None = None
    judged: bool = False

    @property
    def exact(self) -> Reference:
        return Reference(self.version.model, self.version.version)

    @property
    def expect(self) -> str:
        return self.champion or NOBODY


@dataclass(frozen=True)
class Deed:
    """`fields` are those of the form. `do` is a part of one transaction; `before` is what takes longer, such as reading
    the bytes, and refuses what can be refused without them."""

    name: str
    title: str
    button: str
    fields: tuple[str, ...]
    needs: Callable[[Situation], Action]
    changes: Callable[[Situation], Sequence[str]]
    do: Callable[[Registry, Situation, Form], Version]
    command: Callable[[Situation], tuple[str, ...]]
    reason_needed: bool = False
    danger: bool = False
    before: Callable[[Workspace, Situation, Form], None] | None = None


def _reason(form: Form) -> str | None:
    return form.get("reason", "").strip() or None


def _needed(form: Form) -> str:
    reason = _reason(form)
    if reason is None:
        raise InvalidInputError("A reason is needed here: it stands in the audit log, where others look for it later.")
    return reason


def request_of(target: State, now: Situation, form: Form) -> PromotionRequest:
    """Evidence names the champion that it was compared with, and the registry checks that. Who looks at a version
    without evidence, or says that another champion will do, names the champion that he saw instead."""
    named = target is State.PRODUCTION and (not now.judged or form.get("other") == "1")
    expect = (form.get("expect") or now.expect) if named else None
    return PromotionRequest(target, expect, override=form.get("override") == "1", reason=_reason(form))


def _promote(target: State) -> Callable[[Registry, Situation, Form], Version]:
    return lambda registry, now, form: registry.promote(now.exact, request_of(target, now, form)).version


def _before_promotion(target: State) -> Callable[[Workspace, Situation, Form], None]:
    def check(workspace: Workspace, now: Situation, form: Form) -> None:
        request = request_of(target, now, form)
        workspace.registry.require(request.action, now.version.model)
        for one in workspace.registry.preview_promotion(now.exact, request).checks:
            if not one.passed:
                raise ConflictError(one.detail)
        check_first(workspace, now.version, request)

    return check


def _production(now: Situation) -> list[str]:
    name = now.version.name
    if now.champion is None:
        return [f"{name} becomes champion. There is none now."]
    return [
        f"{name} becomes champion.",
        f"{now.champion}, the champion now, is archived; a rollback can bring it back.",
    ]


def _rollback(registry: Registry, now: Situation, form: Form) -> Version:
    to = form.get("to") or now.back_to
    expect = form.get("expect") or now.expect
    return registry.rollback(now.version.model, reason=_needed(form), to=to, expect=expect).version


def _back(now: Situation) -> list[str]:
    target = now.back_to or "the champion before"
    return [f"{target} serves again.", f"{now.champion or 'No version'}, the champion now, is archived."]


def _request(registry: Registry, now: Situation, form: Form) -> Version:
    registry.request_promotion(now.exact, comment=_reason(form))
    return now.version


def _archive_changes(now: Situation) -> list[str]:
    name = now.version.name
    if now.version.state is State.PRODUCTION:
        return [f"{name} is taken out of production. {now.version.model} then has no champion: nothing serves."]
    return [f"{name} is taken out of use. No rollback brings it back until it is restored."]


def _set_alias(registry: Registry, now: Situation, form: Form) -> Version:
    alias = form.get("alias", "").strip()
    if not alias:
        raise InvalidInputError("Give the alias a name, such as canary.")
    if form.get("remove") == "1":
        return registry.remove_alias(now.version.model, alias).version
    return registry.set_alias(alias, now.exact).version


def _tag(registry: Registry, now: Situation, form: Form) -> Version:
    key = form.get("key", "").strip()
    if not key:
        raise InvalidInputError("Give the tag a name, such as team.")
    return registry.annotate(now.exact, Facts(tags={key: form.get("text", "").strip()})).version


def _describe(registry: Registry, now: Situation, form: Form) -> Version:
    text = form.get("description", "").replace("\r\n", "\n").strip()
    return registry.annotate(now.exact, Facts(tags={DESCRIPTION: text})).version


def _words(*words: str) -> Callable[[Situation], tuple[str, ...]]:
    return lambda now: tuple(word.format(exact=now.exact, model=now.version.model) for word in words)


DEEDS: dict[str, Deed] = {
    one.name: one
    for one in (
        Deed(
            "promote",
            "Promote to production",
            "Promote",
            ("reason", "override"),
            lambda _: Action.PROMOTE_TO_PRODUCTION,
            _production,
            _promote(State.PRODUCTION),
            lambda now: ("promote", str(now.exact), *(() if now.judged else ("--expect", now.expect))),
            before=_before_promotion(State.PRODUCTION),
        ),
        Deed(
            "stage",
            "Move to staging",
            "Move to staging",
            ("reason",),
            lambda _: Action.PROMOTE_TO_STAGING,
            lambda now: [f"{now.version.name} stands in staging then, as the next in line. Nothing else serves."],
            _promote(State.STAGING),
            _words("promote", "{exact}", "--to", "staging"),
            before=_before_promotion(State.STAGING),
        ),
        Deed(
            "request",
            "Ask for approvals",
            "Ask for approvals",
            ("reason",),
            lambda _: Action.REQUEST_PROMOTION,
            lambda now: [
                f"Those who may approve find the request in their list. {now.version.name} itself does not move.",
                "Newer evidence, or another champion, makes it void.",
            ],
            _request,
            _words("request", "{exact}"),
        ),
        Deed(
            "rollback",
            "Roll back",
            "Roll back",
            ("reason",),
            lambda _: Action.ROLLBACK,
            _back,
            _rollback,
            lambda now: ("rollback", now.version.model, "--expect", now.expect, "--reason", "WHY"),
            reason_needed=True,
            danger=True,
        ),
        Deed(
            "bring-back",
            "Bring back into production",
            "Bring back",
            ("reason",),
            lambda _: Action.ROLLBACK,
            lambda now: _back(Situation(now.version, now.champion, now.version.version)),
            lambda registry, now, form: _rollback(registry, now, {**form, "to": now.version.version}),
            lambda now: ("rollback", now.version.model, "--to", now.version.version, "--reason", "WHY"),
            reason_needed=True,
            danger=True,
        ),
        Deed(
            "archive",
            "Archive",
            "Archive",
            ("reason",),
            lambda now: Action.ARCHIVE_CHAMPION if now.version.state is State.PRODUCTION else Action.ARCHIVE,
            _archive_changes,
            lambda registry, now, form: registry.archive(now.exact, reason=_needed(form)).version,
            _words("archive", "{exact}", "--reason", "WHY"),
            reason_needed=True,
            danger=True,
        ),
        Deed(
            "restore",
            "Restore",
            "Restore",
            ("reason",),
            lambda _: Action.RESTORE,
            lambda now: [f"{now.version.name} is back in use, in development. It does not serve."],
            lambda registry, now, form: registry.restore(now.exact, reason=_reason(form)).version,
            _words("restore", "{exact}"),
        ),
        Deed(
            "alias",
            "Set an alias",
            "Save",
            ("alias",),
            lambda _: Action.SET_ALIAS,
            lambda now: [f"The alias means {now.version.name} from then on, whatever it meant before."],
            _set_alias,
            _words("alias", "set", "NAME", "{exact}"),
        ),
        Deed(
            "tag",
            "Tag",
            "Save",
            ("tag",),
            lambda _: Action.ANNOTATE,
            lambda now: [
                f"{now.version.name} gets the tag, or another value of it. Without a value the tag goes away."
            ],
            _tag,
            _words("tag", "{exact}", "KEY=VALUE"),
        ),
        Deed(
            "describe",
            "Describe",
            "Save",
            ("description",),
            lambda _: Action.ANNOTATE,
            lambda now: [f"The text stands on the page of {now.version.name}, as its tag `{DESCRIPTION}`."],
            _describe,
            _words("tag", "{exact}", f"{DESCRIPTION}=TEXT"),
        ),
    )
}
