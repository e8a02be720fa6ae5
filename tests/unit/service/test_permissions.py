"""What a pipeline may not do is said before it trains, all at once, with the command that helps."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from tfx_pedigree.errors import ForbiddenError
from tfx_pedigree.registry import Action, Registry, Role
from tfx_pedigree.service.runs.permissions import check_permissions, pipeline_actions
from tfx_pedigree.service.runs.push import PushTarget

EVERYTHING = pipeline_actions(PushTarget.PRODUCTION, lineage=True)


def test_one_message_names_all_that_the_pipeline_will_do_and_one_command_is_enough(tmp_path: Path) -> None:
    """Also for a model that nobody has trained yet, and for an actor who may do a part of it."""
    with Registry.create(tmp_path, actor="ada") as admin, Registry.open(tmp_path, actor="ci") as robot:
        for _ in ("no role", "a role for some of it"):
            with pytest.raises(ForbiddenError) as refused:
                check_permissions(robot, "penguin", EVERYTHING)
            for action in ("reserve", "register", "attach evidence", "record lineage", "promote to production"):
                assert action in str(refused.value)
            admin.grant("ci", Role.CONTRIBUTOR, "penguin")
        (command,) = re.findall(r"`pedigree roles grant ([^`]+)`", str(refused.value))
        principal, role, _, model = shlex.split(command)
        admin.grant(principal, Role.parse(role), model)
        check_permissions(robot, "penguin", EVERYTHING)


def test_a_pipeline_needs_the_role_for_what_is_wired_and_no_higher_one(tmp_path: Path) -> None:
    with Registry.create(tmp_path, actor="ada") as admin, Registry.open(tmp_path, actor="ci") as robot:
        admin.grant("ci", Role.CONTRIBUTOR, "penguin")
        check_permissions(robot, "penguin", pipeline_actions(PushTarget.NONE, lineage=True))
        with pytest.raises(ForbiddenError, match="needs reviewer"):
            check_permissions(robot, "penguin", pipeline_actions(PushTarget.STAGING, lineage=False))
        assert Action.RECORD_LINEAGE not in pipeline_actions(PushTarget.STAGING, lineage=False)
        check_permissions(robot, "penguin", ())
