"""How the tests are shared out among processes (`pytest -n 2`, which `make test` says).

TensorFlow takes seconds to import and a gigabyte of memory: all tests of TFX's components go to one process and all
pipelines to another, first, because they take longest. The light tests follow, a module at a time, so that what a
module's tests share is made once. Session fixtures (PostgreSQL, S3, the finished pipeline run) belong to their process.
"""

from __future__ import annotations

import pytest
from xdist.scheduler import LoadScopeScheduling

TFX_ROOMS = ("tests/components/", "tests/pipelines/")


class ByRoom(LoadScopeScheduling):
    def __init__(self, config: pytest.Config, log: object = None) -> None:
        config.option.loadscopereorder = False  # collected in the right order: TFX's rooms come first
        super().__init__(config, log)

    def _split_scope(self, nodeid: str) -> str:
        return next((room for room in TFX_ROOMS if nodeid.startswith(room)), nodeid.split("::", 1)[0])
