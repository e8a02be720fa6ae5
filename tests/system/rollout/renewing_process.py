"""A controller that only renews: applies the same shares again and again, until it is killed.

    python renewing_process.py KIND SETTINGS SHARES EPOCH

SETTINGS and SHARES are JSON. One line on standard output says that the first apply is done.
"""

from __future__ import annotations

import json
import sys
import time

from tfx_pedigree.comparison.config_reader import from_data
from tfx_pedigree.json_form import read
from tfx_pedigree.rollout.traffic.api import ManagerContext, WantedRoutes
from tfx_pedigree.rollout.traffic.envoy import open_envoy
from tfx_pedigree.rollout.traffic.haproxy import open_haproxy


def main(kind: str, settings: str, shares: str, epoch: str) -> None:
    open_manager = {"haproxy": open_haproxy, "envoy": open_envoy}[kind]
    context = ManagerContext("penguin", lambda version, folder: None, {}, time.time)
    manager = open_manager(from_data(json.loads(settings), "settings"), context)
    wanted = read(WantedRoutes, json.loads(shares), "the shares")
    assert wanted.lease_seconds is not None
    while True:
        manager.apply(wanted, epoch=int(epoch))
        print("renewed", flush=True)
        time.sleep(wanted.lease_seconds / 3)


if __name__ == "__main__":
    main(*sys.argv[1:])
