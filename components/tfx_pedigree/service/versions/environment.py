"""The environment of this process, as version.json and the lineage graph keep it. Free of TensorFlow.

Light: nothing is loaded or started to find out what is there. Of the environment's variables only those in a list are
read, never all: most of what else stands there concerns nobody, and some of it is secret.
"""

from __future__ import annotations

import os
import platform
import re
import sys
from collections.abc import Iterable, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from tfx_pedigree import __version__
from tfx_pedigree.lineage.node_factory import packages_digest

# Set by whoever builds or starts the image: nothing inside a container tells which image it is.
IMAGE_VARIABLE = "PEDIGREE_CONTAINER_IMAGE"

# What changes the numbers that a training gives, or how fast. docs/components.md lists them.
VARIABLES = (
    "CUBLAS_WORKSPACE_CONFIG",
    "CUDA_VISIBLE_DEVICES",
    "KERAS_BACKEND",
    "MKL_NUM_THREADS",
    "NVIDIA_TF32_OVERRIDE",
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "PYTHONHASHSEED",
    "TF_CUDNN_DETERMINISTIC",
    "TF_DETERMINISTIC_OPS",
    "TF_ENABLE_ONEDNN_OPTS",
    "TF_NUM_INTEROP_THREADS",
    "TF_NUM_INTRAOP_THREADS",
    "TF_USE_LEGACY_KERAS",
    "TF_XLA_FLAGS",
    "TZ",
    "XLA_FLAGS",
)

_CPU_INFO = Path("/proc/cpuinfo")
_ENVIRON = Path("/proc/self/environ")
_NVIDIA = Path("/proc/driver/nvidia/gpus")
# One of them has the name; which one depends on the processor.
_CPU_NAMES = ("model name", "Hardware", "cpu model", "cpu")
_VENDORED = "_vendor"
_SEPARATORS = re.compile(r"[-_.]+")


def environment(
    image: str | None = None,
    variables: Iterable[str] = (),
    started: Mapping[str, str] | None = None,
    now: Mapping[str, str] = os.environ,
) -> dict[str, Any]:
    """`variables` are read beside those in the list. What somebody gave the process stands under that name, what was
    set or taken away since (libraries do so on import) under another."""
    started = environ_at_start() if started is None else started
    packages = installed_packages()
    names = sorted({*VARIABLES, *variables})
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "machine": platform.machine(),
        "packages": packages,
        "packages_digest": packages_digest(packages),
        "image": image or started.get(IMAGE_VARIABLE) or None,
        "cpu": cpu(),
        "accelerators": list(accelerators()),
        "variables": {name: started[name] for name in names if name in started},
        "variables_set_later": {name: now.get(name) for name in names if now.get(name) != started.get(name)},
    }


def environ_at_start(file: Path = _ENVIRON) -> Mapping[str, str]:
    """The environment that this process was given; where the system does not keep it, as it is now."""
    try:
        pairs = [entry.partition(b"=") for entry in file.read_bytes().split(b"\0") if entry]
    except OSError:
        return os.environ
    return {os.fsdecode(name): os.fsdecode(value) for name, _, value in pairs}


def installed_packages() -> dict[str, str]:
    """Name and version of every distribution that Python finds, the first on the path where there are two. What a
    package brings along inside itself, and puts on the path of whoever imports it, is a part of that package."""
    found: dict[str, str] = {}
    for one in metadata.distributions(path=[path for path in sys.path if Path(path).name != _VENDORED]):
        # Twenty times as fast as `one.metadata`, which reads the long description as well.
        head = one.read_text("METADATA") or one.read_text("PKG-INFO") or ""
        name, version = (_line(head, (key,), until="") for key in ("Name", "Version"))
        if name and version:  # what a broken installation leaves behind has neither
            found.setdefault(_SEPARATORS.sub("-", name).lower(), version)
    found.setdefault("tfx-pedigree", __version__)
    return dict(sorted(found.items()))


def cpu(info: Path = _CPU_INFO) -> dict[str, Any]:
    """Its name, and how many this process may use."""
    return {"model": _cpu_name(info), "count": _usable()}


def accelerators(folder: Path = _NVIDIA) -> tuple[str, ...]:
    """The names of the GPUs that the driver shows to this container, one for each."""
    try:
        found = [_line(path.read_text("utf-8", "replace"), ("Model",)) for path in folder.glob("*/information")]
    except OSError:
        return ()
    return tuple(sorted(name for name in found if name))


def _cpu_name(info: Path) -> str | None:
    try:
        text = info.read_text("utf-8", "replace")
    except OSError:
        text = ""
    return _line(text, _CPU_NAMES) or platform.processor() or None


def _line(text: str, names: tuple[str, ...], until: str | None = None) -> str | None:
    """The value of the first of these names; what follows the line `until` is not looked at."""
    values: dict[str, str] = {}
    for line in text.splitlines():
        if line == until:
            break
        name, _, value = line.partition(":")
        values.setdefault(name.strip(), value.strip())
    return next((values[name] for name in names if values.get(name)), None)


def _usable() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
