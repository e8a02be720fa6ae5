"""What the package says of itself: its rooms, and its public names."""

from __future__ import annotations

import pkgutil
import re
from pathlib import Path

import pytest

import tfx_pedigree

ROOMS = [one.name for one in pkgutil.iter_modules(tfx_pedigree.__path__)]


@pytest.mark.parametrize("page", ["the docstring", "docs/architecture.md"])
def test_every_room_is_described(page: str) -> None:
    text = tfx_pedigree.__doc__ or ""
    if page != "the docstring":
        text = (Path(__file__).parents[2] / page).read_text()
    assert set(ROOMS) - set(re.findall(r"`(\w+)/?`", text)) - {"self_check"} == set()


def test_every_public_name_is_there() -> None:
    light = [name for name in tfx_pedigree.__all__ if name not in tfx_pedigree._COMPONENTS]
    assert [name for name in light if getattr(tfx_pedigree, name, None) is None] == []
