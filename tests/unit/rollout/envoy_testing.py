"""A real Envoy on loopback, with the configuration that `pedigree rollout template` writes."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from balancer_testing import BalancerBench, Serving, free_ports, listens, until

from programs_testing import program
from tfx_pedigree.comparison.config_reader import ConfigNode
from tfx_pedigree.rollout.traffic.envoy import (
    EnvoyRouter,
    EnvoySettings,
    kept_values,
    open_envoy,
    read_settings,
    write_kept,
)
from tfx_pedigree.rollout.traffic.envoy_template import envoy_template
from tfx_pedigree.rollout.traffic.routed import RouteOrder


@dataclass
class Envoy:
    KIND = "envoy"

    serving: Serving
    folder: Path
    ports: list[int] = field(default_factory=lambda: free_ports(3))

    @property
    def port(self) -> int:
        return self.ports[0]

    @property
    def settings(self) -> ConfigNode:
        return self.serving.settings(
            admin=f"http://127.0.0.1:{self.ports[1]}",
            controller=f"127.0.0.1:{self.ports[2]}",
            runtime=f"{self.folder}/runtime",
        )

    @property
    def read(self) -> EnvoySettings:
        return read_settings(self.settings, self.serving.context())

    @property
    def config(self) -> Path:
        return self.folder / "envoy.yaml"

    def start(self) -> None:
        text = envoy_template(self.read, f"127.0.0.1:{self.ports[0]}")
        self.config.write_text(text.replace("interval: 0.5s", "interval: 0.1s"), "utf-8")  # tests wait for the checks
        self.reset()
        self.launch()
        until(lambda: listens(self.ports[0]), "Envoy listens")

    def launch(self) -> None:
        command = [program("envoy"), "-c", str(self.config), "--concurrency", "2", "--disable-hot-restart"]
        self.serving.processes.start("envoy", command)

    def reload(self) -> None:
        """Envoy has none: it takes changes of shares while it runs."""

    def empty(self) -> None:
        self.serving.empty()
        router = EnvoyRouter(self.read, lambda: 0.0)
        order = RouteOrder({"blue": 10_000, "green": 0}, "blue", 0)
        router.write(order, None)
        until(lambda: (router.read().points, router.read().epoch) == (order.points, None), "Envoy has nothing to do")
        # A check that is under way from before would mark a place down that has a version again.
        until(lambda: not router.up("blue") and not router.up("green"), "Envoy's checks see that the places are empty")

    def reset(self) -> None:
        write_kept(self.read, kept_values(self.read.places, RouteOrder({"blue": 10_000, "green": 0}, "blue", 0), 0))

    def stop(self) -> None:
        """Its processes are stopped with all others."""

    def bench(self) -> BalancerBench:
        return BalancerBench(self.serving, lambda: open_envoy(self.settings, self.serving.context()), self.ports[0])
