"""docs/server.md, from nothing to two people and a pipeline: its commands as they stand there, each on a computer of
its own, against the server that they start."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from server_processes import free_port
from tfx_pedigree.registry import Identity, Registry, Role

PAGE = Path(__file__).resolve().parents[3] / "docs/server.md"
MAIN = "from tfx_pedigree.cli.main import main; main()"
COMPUTERS = ("server", "server", "training", "ada", "bob", "ada")


def blocks(port: int) -> list[str]:
    """The server's name stands for this computer here, where other people's names lead nowhere."""
    section = PAGE.read_text("utf-8").partition("## From nothing to two people and a pipeline")[2].partition("\n## ")[0]
    found = re.findall(r"^```bash\n(.*?)^```$", section, re.S | re.M)
    assert len(found) == len(COMPUTERS)
    return [one.replace("pedigree.example.com", "localhost").replace("8321", str(port)) for one in found]


class Computers:
    """A folder each. What was exported once stays, as in a shell that stays open."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "bin").mkdir()
        program = folder / "bin/pedigree"
        program.write_text(f'#!/bin/sh\nexec {sys.executable} -c "{MAIN}" "$@"\n', "utf-8")
        program.chmod(0o755)
        for name in set(COMPUTERS):
            (folder / name).mkdir()
        kept = {name: text for name, text in os.environ.items() if not name.startswith(("PEDIGREE_", "SSL_CERT"))}
        path = f"{folder / 'bin'}:{os.environ['PATH']}"
        self.environment = {**kept, "PATH": path, "PYTHONPATH": os.pathsep.join(sys.path), "COLUMNS": "200"}
        self.exported: dict[str, list[str]] = {}

    def script(self, computer: str, block: str) -> list[str]:
        before = self.exported.setdefault(computer, [])
        words = ["bash", "-euo", "pipefail", "-c", "\n".join([*before, block])]
        before += [line for line in block.splitlines() if line.startswith("export ")]
        return words

    def run(self, computer: str, block: str) -> str:
        done = subprocess.run(
            self.script(computer, block),
            cwd=self.folder / computer,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{block}\n{done.stdout}{done.stderr}"
        return done.stdout

    def bring(self, computer: str) -> None:
        """What Ada gives to each: the authority's certificate, and his token."""
        for name in ("ca.pem", f"{computer}.token"):
            shutil.copy(self.folder / "server" / name, self.folder / computer)


def test_two_people_and_a_pipeline_share_a_registry_over_tls(tmp_path: Path) -> None:
    authority, start, register, protect, approve, promote = blocks(free_port())
    computers = Computers(tmp_path)
    (tmp_path / "training/model").mkdir()
    (tmp_path / "training/model/weights.bin").write_bytes(b"weights" * 100)
    computers.run("server", authority)
    # As strictly as Python 3.13 looks at certificates.
    assert "OK" in computers.run("server", "openssl verify -x509_strict -CAfile ca.pem server.pem")
    assert (tmp_path / "server/server.key").stat().st_mode & 0o077 == 0
    with subprocess.Popen(
        computers.script("server", start),
        cwd=tmp_path / "server",
        env=computers.environment,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as server:
        try:
            assert server.stdout is not None
            said = next(line for line in server.stdout if "is served at" in line)
            assert "https://" in said
            for name in ("training", "ada", "bob"):
                computers.bring(name)
            computers.run("training", register)
            computers.run("ada", protect)
            waiting = computers.run("bob", approve)
            assert "flight-delay" in waiting
            history = computers.run("ada", promote)
        finally:
            os.killpg(server.pid, 15)
            server.wait(30)
    assert (tmp_path / "ada/serving/weights.bin").read_bytes() == b"weights" * 100
    for name in ("training", "ada", "bob"):
        assert name in history
    with Registry.open(tmp_path / "server/registry", actor="ada") as registry:
        champion = registry.get("flight-delay@champion")
        events = {event.action: event for event in registry.history("flight-delay").items}
        by = {action: events[action].actor for action in ("register", "approve", "promote")}
        assert by == {"register": "training", "approve": "bob", "promote": "ada"}
        assert all(events[action].token for action in by)
        assert registry.get("flight-delay@1.0.0").digest == champion.digest
        roles = {name: registry.acting_as(Identity(name)).role("flight-delay") for name in ("bob", "training", "eve")}
        assert roles == {"bob": Role.REVIEWER, "training": Role.CONTRIBUTOR, "eve": None}
        assert registry.verify_audit().ok
