"""Runs of experiment trackers: what a run says goes into a version, and the version's name goes back to the run.

In comes an address such as `mlflow:ID`, `wandb:FOLDER` or `tensorboard:LOGDIR`, out go a `TrackedRun` and, where the
tracker can be reached, a mark on it. It never needs a tracker's library, and believes nothing that it reads.
"""

from __future__ import annotations

from tfx_pedigree.integrations.trackers.runs import RunAddress, page_of, tell_run

__all__ = ["RunAddress", "page_of", "tell_run"]
