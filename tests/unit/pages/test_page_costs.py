"""What a page costs its database: a bound for each, so that it cannot creep up unseen."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import sqlalchemy as sa

from pages_fixtures import Site
from pages_testing import GUARDED, MODEL, OTHER, ROLLED
from tfx_pedigree.db import statement

# Statements at the most. The transaction around them is not counted.
MOST = {
    "/models": 1,
    f"/models/{OTHER}": 13,
    f"/models/{OTHER}/performance": 6,
    f"/models/{OTHER}/versions/1.3.0": 20,
    f"/models/{GUARDED}/versions/1.1.0": 19,
    f"/models/{OTHER}/compare/1.0.0...1.2.0": 10,
    f"/models/{OTHER}/compare/1.1.0...1.3.0": 10,
    f"/models/{MODEL}/events/3": 1,
    f"/audit?model={OTHER}": 1,
    f"/lineage?of={MODEL}@1.1.0": 13,
    f"/lineage/impact?of={MODEL}@1.0.0": 12,
    "/approvals": 6,
    f"/models/{GUARDED}/approvals/1": 5,
    "/rollouts": 2,
    f"/models/{ROLLED}/rollout": 6,
    f"/models/{OTHER}/versions/1.3.0/promote": 10,
    f"/models/{OTHER}/actions/rollback": 9,
    f"/models/{OTHER}/describe": 4,
}


@contextmanager
def counted(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """All that goes to a database meanwhile."""
    sent: list[str] = []
    send = statement._send

    def prepared(driver: Any, one: statement.Prepared, values: dict[str, Any]) -> Any:
        sent.append(f"{one.text} {one.parameters(values)}")
        return send(driver, one, values)

    def executed(_connection: object, _cursor: object, text: str, values: object, *_: object) -> None:
        sent.append(f"{text} {values}")

    sa.event.listen(sa.Engine, "before_cursor_execute", executed)
    with monkeypatch.context() as patch:
        patch.setattr(statement, "_send", prepared)
        yield sent
    sa.event.remove(sa.Engine, "before_cursor_execute", executed)


@pytest.mark.parametrize("page", MOST)
def test_a_page_asks_its_database_no_more_than_it_needs(site: Site, page: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with site.client("rel") as client, counted(monkeypatch) as sent:
        assert client.get(page).status_code == 200
    assert 0 < len(sent) <= MOST[page], "\n".join(sent)
