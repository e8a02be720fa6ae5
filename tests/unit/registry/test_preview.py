"""A preview of a promotion says what the promotion will do, and leaves no trace."""

from __future__ import annotations

import pytest

from pedigree_testing import candidate, digest
from tfx_pedigree.errors import ForbiddenError
from tfx_pedigree.registry import Evidence, PromotionPreview, Registry, Role, Verdict

pytestmark = pytest.mark.conformance


def test_preview_writes_nothing_and_names_whom_it_would_replace(registry: Registry) -> None:
    registry.add("m", candidate("a"))
    registry.add("m", candidate("b"))
    registry.promote("m@1.0.0")
    registry.attach_evidence("m@1.0.1", Evidence(digest("b"), digest("a"), Verdict.PASS, "better"))
    before = registry.history("m").items
    preview = registry.preview_promotion("m@1.0.1")
    assert (preview.allowed, preview.changes, preview.replaces) == (True, True, "1.0.0")
    assert [check.name for check in preview.checks] == ["role", "state", "champion", "gate"]
    assert registry.history("m").items == before
    assert PromotionPreview.from_json(preview.to_json()) == preview
    assert registry.promote("m@1.0.1").replaced == "1.0.0"


@pytest.mark.database
def test_missing_role_is_told_and_not_logged(registry: Registry) -> None:
    registry.add("m", candidate("a"))
    registry.grant("eve", Role.CONTRIBUTOR)
    eve = Registry(registry.transactions.database, "eve", store=None)
    before = registry.history("m").items
    preview = eve.preview_promotion("m@1.0.0")
    assert [check.name for check in preview.checks if not check.passed] == ["role"]
    assert "roles grant eve releaser --model m" in preview.checks[0].detail
    assert registry.history("m").items == before
    with pytest.raises(ForbiddenError):
        eve.promote("m@1.0.0")
