"""Observations that are read from Prometheus, again and again.

In: the section `monitor:` of a config file, and what Prometheus answers. Out: observations in the registry, which is
also all that is remembered. It never keeps a file of its own, and never asks for what is there already.
"""

from __future__ import annotations

from tfx_pedigree.service.monitor.config import MonitorConfig, Source, Watch, load_monitor
from tfx_pedigree.service.monitor.monitor import Monitor, Pass, Recorded

__all__ = ["Monitor", "MonitorConfig", "Pass", "Recorded", "Source", "Watch", "load_monitor"]
