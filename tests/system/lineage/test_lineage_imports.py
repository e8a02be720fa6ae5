"""Asking about lineage needs neither TensorFlow nor ML Metadata, and loads networkx only for who wants its graphs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.conformance

HEAVY = ("tensorflow", "tfx", "apache_beam", "ml_metadata", "keras", "tensorflow_model_analysis", "networkx")
ASKING = """
import sys
before = set(sys.modules)
from tfx_pedigree.lineage.graph import Fragment
from tfx_pedigree.lineage.lineage import Lineage
from tfx_pedigree.lineage.node_factory import data_node
from tfx_pedigree.registry import Registry
Registry.create(sys.argv[1], actor="ada").close()
with Registry.open(sys.argv[1], actor="ada") as registry:
    lineage = Lineage(registry)
    lineage.record(Fragment((data_node(uri="gs://flights/3", span="3"),)))
    assert lineage.get_lineage("span:3").nodes
    assert not lineage.impact("span:3").versions
print(*sorted({name.partition(".")[0] for name in set(sys.modules) - before}))
"""


@pytest.fixture
def loaded(tmp_path: Path) -> set[str]:
    """What a process has imported that recorded something and asked about it."""
    command = [sys.executable, "-c", ASKING, str(tmp_path / "registry")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


def test_recording_and_asking_load_nothing_heavy(loaded: set[str]) -> None:
    assert "tfx_pedigree" in loaded
    assert not loaded & set(HEAVY)
