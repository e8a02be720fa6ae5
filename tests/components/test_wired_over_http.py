"""The same pipeline with its registry on a server: a process of its own, over TLS, that knows its people by tokens."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner
from components_testing import NAME, write_rows
from wired_testing import ready_model, run_wired

from tfx_pedigree import connect
from tfx_pedigree.cli.main import cli
from tfx_pedigree.lineage.graph import NodeKind
from tfx_pedigree.registry import Action, Registry, Role, State
from tfx_pedigree.service.tokens import make_token
from tls_testing import server_process, write_certificate

WHO = "pipeline@example.com"


@pytest.fixture
def token(local_registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Of who runs the pipeline: all that its environment says."""
    local_registry.grant(WHO, Role.RELEASER)
    made = make_token(local_registry, "ci", principal=WHO).text
    write_certificate(tmp_path)
    for name in ("PEDIGREE_STORE", "PEDIGREE_ACTOR", "PEDIGREE_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    with server_process(tmp_path) as (_, address):
        monkeypatch.setenv("PEDIGREE_REGISTRY", address)
        monkeypatch.setenv("PEDIGREE_TOKEN", made)
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "certificate.pem"))
        yield made


def test_a_pipeline_on_a_server_versions_judges_promotes_and_records(
    token: str,
    local_registry: Registry,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    (tmp_path / "data").mkdir()
    write_rows(tmp_path / "data" / "rows.gz", [{"x": n / 40, "y": n / 20} for n in range(1, 200)])
    first = run_wired(tmp_path, ready_model(tmp_path / "first", 1.0), None, None)
    assert (first["pushed"], first["version"], first["outcome"]) == (1, "1.0.0", "promoted")
    worse = run_wired(tmp_path, ready_model(tmp_path / "worse", 0.5), None, None)
    assert (worse["pushed"], worse["version"], worse["outcome"]) == (0, "1.0.1", "refused")
    assert local_registry.get(f"{NAME}@1.0.1").refusal.startswith("FAIL")

    ready_model(tmp_path / "model-1", 1.9, weights=2)
    retrained(tmp_path, monkeypatch)
    better = local_registry.get(f"{NAME}@champion")
    assert (better.version, better.state, better.created_by) == ("1.1.0", State.PRODUCTION, WHO)
    judged = local_registry.evidence(f"{NAME}@1.1.0")
    assert judged.champion == local_registry.get(f"{NAME}@1.0.0").digest
    assert [one.details["outcome"] for one in local_registry.notes(NAME, Action.RETRAIN).items] == [
        "finished",
        "started",
    ]
    assert sorted(path.name for path in (tmp_path / "serving" / NAME).iterdir()) == ["1", "3"]

    with connect(os.environ["PEDIGREE_REGISTRY"]) as far:
        up = far.lineage.get_upstream(f"{NAME}@1.1.0")
        runs = [node for node in up.nodes.values() if node.kind is NodeKind.RUN and up.depth[node.key] == 1]
        assert [(node.fact("pipeline"), node.fact("complete")) for node in runs] == [("flights", "yes")]
        trained = {one.node.fact("version") for one in far.lineage.impact("data:split=train").versions}
        assert trained == {"1.0.0", "1.0.1", "1.1.0"}
        path = far.lineage.path(f"{NAME}@1.1.0", f"{NAME}@1.0.0")
        assert path is not None
        assert len(path.edges) == 1, "it follows the champion"
    events = local_registry.history(NAME, limit=1000).items
    assert {event.actor for event in events} == {WHO}
    assert local_registry.verify_audit().ok
    assert local_registry.store.verify().ok
    secret = token.rpartition("_")[2].encode()
    assert secret not in caplog.text.encode()
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {"mlmd.db", "run.log", "server.log", "registry.db"} <= {path.name for path in written}
    assert [path for path in written if secret in path.read_bytes()] == []


def retrained(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`pedigree pipeline retrain`, whose pipeline is a process of its own."""
    (folder / "spans/span-1").mkdir(parents=True)
    (folder / "spans/span-1/rows.csv").write_text("x")
    config = {
        "create": "wired_testing:create",
        "log": str(folder / "run.log"),
        "spans": {"pattern": f"{folder}/spans/span-{{SPAN}}/*", "settle": 0},
        "settings": {"name": NAME, "folder": str(folder)},
    }
    (folder / "local.yaml").write_text(yaml.safe_dump({"pipeline": config}))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    done = CliRunner().invoke(
        cli, ["pipeline", "retrain", "--config", str(folder / "local.yaml")], prog_name="pedigree"
    )
    assert done.exit_code == 0, (done.output, (folder / "run.log").read_text()[-3000:])
    assert f"{NAME} 1.1.0" in done.output
