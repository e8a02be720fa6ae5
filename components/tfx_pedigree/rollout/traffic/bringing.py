"""Files that are brought to a place while the controller goes on: it has leases to renew, and other rollouts."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

from tfx_pedigree.errors import DamagedError, NotFoundError
from tfx_pedigree.rollout.traffic.api import Prepared, Readiness

_PATIENCE = 0.3  # what is quick is there when the first call returns
_jobs: dict[Path, _Job] = {}
_jobs_lock = threading.Lock()


class _Job(threading.Thread):
    """Ends with the process, however far it is: what it brings appears whole or not at all."""

    def __init__(self, bring: Callable[[], None]) -> None:
        super().__init__(daemon=True)
        self._bring = bring
        self.error: Exception | None = None

    def run(self) -> None:
        try:
            self._bring()
        except Exception as error:  # noqa: BLE001  raised where it is asked for
            self.error = error


def brought(number: Path, bring: Callable[[], None]) -> Prepared | None:
    """None where `bring` has ended well; else how far it is. The same folder is brought once at a time."""
    with _jobs_lock:
        job = _jobs.get(number)
        if job is None:
            job = _jobs[number] = _Job(bring)
            job.start()
    job.join(_PATIENCE)
    if job.is_alive():
        return Prepared(Readiness.LOADING, "its files are being brought")
    with _jobs_lock:
        if _jobs.get(number) is job:
            del _jobs[number]
    if isinstance(job.error, DamagedError | NotFoundError):
        return Prepared(Readiness.FAILED, str(job.error))
    if job.error is not None:
        raise job.error
    return None
