"""A real HAProxy on loopback, with the configuration that `pedigree rollout template` writes."""

from __future__ import annotations

import shutil
import signal
import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from balancer_testing import BalancerBench, Serving, free_ports, listens, until

from programs_testing import program
from tfx_pedigree.comparison.config_reader import ConfigNode
from tfx_pedigree.rollout.traffic.haproxy import MapEntries, open_haproxy, read_settings
from tfx_pedigree.rollout.traffic.haproxy_socket import HaproxySocket
from tfx_pedigree.rollout.traffic.haproxy_template import haproxy_template


@dataclass
class Haproxy:
    KIND = "haproxy"

    serving: Serving
    folder: Path
    port: int = field(default_factory=lambda: free_ports(1)[0])

    # A socket's path must be short, and a test's folder has a long one.
    socket: str = field(default_factory=lambda: f"{tempfile.mkdtemp(prefix='ha-', dir='/tmp')}/sock")

    @property
    def settings(self) -> ConfigNode:
        return self.serving.settings(socket=self.socket, map=f"{self.folder}/routes.map")

    def start(self) -> None:
        read = read_settings(self.settings, self.serving.context())
        config = self.folder / "haproxy.cfg"
        text = haproxy_template(read, f"127.0.0.1:{self.port}")
        config.write_text(text.replace("inter 500ms fastinter 200ms", "inter 100ms"), "utf-8")  # tests wait for checks
        self.reset()
        checked = subprocess.run([program("haproxy"), "-c", "-f", config], capture_output=True, text=True, check=False)
        assert checked.returncode == 0, checked.stderr
        self.launch()
        until(lambda: listens(self.port) and Path(self.socket).exists(), "HAProxy listens")

    def launch(self) -> None:
        config = str(self.folder / "haproxy.cfg")
        self.serving.processes.start("haproxy", [program("haproxy"), "-W", "-f", config])

    def reload(self) -> None:
        """As `systemctl reload haproxy` does it: another worker takes the sockets over."""
        api = HaproxySocket(Path(self.socket))
        before = api.process()
        self.serving.processes.running["haproxy"].send_signal(signal.SIGUSR2)
        until(lambda: api.process() != before, "HAProxy has another worker")

    def empty(self) -> None:
        self.serving.empty()
        HaproxySocket(Path(self.socket)).replace_map(self.folder / "routes.map", MapEntries.first("blue").entries())

    def reset(self) -> None:
        (self.folder / "routes.map").write_bytes(MapEntries.first("blue").file())

    def stop(self) -> None:
        shutil.rmtree(Path(self.socket).parent, ignore_errors=True)

    def bench(self) -> BalancerBench:
        return BalancerBench(self.serving, lambda: open_haproxy(self.settings, self.serving.context()), self.port)
