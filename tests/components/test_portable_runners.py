"""What is true on Beam's local runner is true on runners that send the work to other processes.

The job service and the worker pool are Beam's own, each in a process of its own. They speak the job API and the Fn API,
which are what a job server of Flink or Spark speaks: the pipeline travels as a proto, functions and sums as bytes.
"""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import apache_beam as beam
import pytest
import worker_testing
from tfx.dsl.components.base.base_beam_executor import BaseBeamExecutor
from tfx.types import standard_artifacts
from version_comparator_testing import (  # noqa: F401  `world` is a fixture
    LABEL,
    POLICY,
    World,
    artifact,
    world,
    write_examples,
)

from tfx_pedigree.tfx_components import artifacts
from tfx_pedigree.tfx_components.version_comparator import executor
from tfx_pedigree.tfx_components.version_comparator.examples import Examples
from tfx_pedigree.tfx_components.version_comparator.paired_sums import PairedSums
from tfx_pedigree.tfx_components.version_comparator.predictions import (
    PairOf,
    Plan,
    PredictPairs,
    compare_predictions,
    read_sums,
)
from tfx_pedigree.tfx_components.version_comparator.serving import ServingSignature

FILES, BATCH = 6, 8
SERVERS = {
    "job service": ["apache_beam.runners.portability.local_job_service_main", "--port={port}"],
    "worker pool": ["apache_beam.runners.worker.worker_pool_main", "--service_port={port}"],
}


@dataclass(frozen=True)
class Cluster:
    """A job service and a pool of workers. The pool starts a process for each worker that the service asks for."""

    options: tuple[str, ...]
    log: Path

    def workers(self) -> int:
        return len(re.findall("Starting worker with command", self.log.read_text("utf-8")))


@contextmanager
def _server(name: str, log: Path) -> Iterator[Callable[[], int]]:
    """Starts it; gives what waits until it listens, and tells where."""
    with closing(socket.create_server(("localhost", 0))) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", *(word.format(port=port) for word in SERVERS[name])]
    # The pool starts `python`: this one, and as it is here.
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    with log.open("w") as file:
        # A group of its own: workers that the pool has started end with it.
        process = subprocess.Popen(command, stdout=file, stderr=file, env=environment, start_new_session=True)
    try:
        yield lambda: _await(port, process, log)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _await(port: int, process: subprocess.Popen[bytes], log: Path) -> int:
    deadline = time.monotonic() + 120
    while process.poll() is None and time.monotonic() < deadline:
        try:
            socket.create_connection(("localhost", port), timeout=1).close()
        except OSError:
            time.sleep(0.1)
        else:
            return port
    raise AssertionError(f"the server did not start: {log.read_text('utf-8')}")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    folder = tmp_path_factory.mktemp("cluster")
    log = folder / "pool.log"
    with _server("job service", folder / "jobs.log") as jobs, _server("worker pool", log) as pool:
        options = (
            "--runner=PortableRunner",
            f"--job_endpoint=localhost:{jobs()}",
            "--environment_type=EXTERNAL",
            f"--environment_config=localhost:{pool()}",
        )
        yield Cluster(options, log)


@pytest.fixture(scope="module")
def examples(tmp_path_factory: pytest.TempPathFactory, world: World) -> Any:  # noqa: F811
    return write_examples(tmp_path_factory.mktemp("many") / "examples", world.rows, files=FILES)


def _plan(world: World) -> Plan:  # noqa: F811
    """Many batches in several files. Each plan has its own handle: models are shared with no other one."""
    pair = PairOf.at(f"{world.new.uri}/Format-Serving", f"{world.old.uri}/Format-Serving", ServingSignature())
    return Plan(pair, LABEL, batch_size=BATCH)


def _sums(folder: Path, world: World, examples: Any, *options: str) -> PairedSums:  # noqa: F811
    paths, result = Examples.of([examples], "eval").files, str(folder / "sums.json")
    with beam.Pipeline(argv=list(options)) as pipeline:
        compare_predictions(pipeline, paths, _plan(world), result)
    return read_sums(result)


def _local(folder: Path, world: World, examples: Any) -> PairedSums:  # noqa: F811
    return _sums(folder, world, examples, "--runner=DirectRunner")


def test_sums_of_a_portable_runner_are_those_of_the_local_one_to_the_last_digit(
    cluster: Cluster,
    world: World,  # noqa: F811
    examples: Any,
    tmp_path: Path,
) -> None:
    before = cluster.workers()
    found = _sums(tmp_path, world, examples, *cluster.options)
    assert cluster.workers() > before
    assert found.count == len(world.rows.labels) and not found.failed
    assert found == _local(tmp_path, world, examples)


def test_sums_of_several_worker_processes_are_those_of_one_to_the_last_digit(
    world: World,  # noqa: F811
    examples: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))  # where the workers find the witness
    many = ("--runner=DirectRunner", "--direct_running_mode=multi_processing", "--direct_num_workers=2")
    plan, paths = _plan(world), Examples.of([examples], "eval").files
    result, seen = str(tmp_path / "sums.json"), str(tmp_path / "processes")

    with beam.Pipeline(argv=list(many)) as pipeline:
        compare_predictions(pipeline, paths, plan, result)
        parts = pipeline | beam.Create(paths) | beam.Reshuffle() | beam.ParDo(PredictPairs(plan))
        _ = parts | beam.Map(worker_testing.process_and_rows) | beam.io.WriteToText(seen)
    assert read_sums(result) == _local(tmp_path, world, examples)
    rows = [line.split() for path in tmp_path.glob("processes-*") for line in path.read_text("utf-8").splitlines()]
    assert sum(int(count) for _, count in rows) == len(world.rows.labels)
    assert len({process for process, _ in rows} - {str(os.getpid())}) == 2


def _judged(folder: Path, world: World, examples: Any, options: tuple[str, ...]) -> dict[str, Any]:  # noqa: F811
    """The component's executor as a runner calls it. Named, an image is not built from what is installed here."""
    arguments = [*options, "--sdk_container_image=pedigree:tfx"] if options else []
    comparison = artifact(artifacts.VersionComparison, folder / "comparison")
    blessing = artifact(standard_artifacts.InfraBlessing, folder / "blessing")
    given = {key: [value] for key, value in {**world.inputs, "examples": examples}.items()}
    context = BaseBeamExecutor.Context(arguments, tmp_dir=str(folder), unique_id="1")
    properties = {"policy": json.dumps(POLICY.to_json()), "latency_rounds": 0}
    executor.Executor(context).Do(given, {"comparison": [comparison], "blessing": [blessing]}, properties)
    found: dict[str, Any] = json.loads((folder / "comparison" / "comparison.json").read_text("utf-8"))
    return {**found, "blessed": blessing.get_int_custom_property("blessed")}


def test_the_comparison_of_a_portable_runner_is_that_of_the_local_one(
    cluster: Cluster,
    world: World,  # noqa: F811
    examples: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    near = _judged(tmp_path / "near", world, examples, ())
    monkeypatch.setattr(executor, "LARGEST_HERE", 0)  # few rows would be left to this process
    before = cluster.workers()
    far = _judged(tmp_path / "far", world, examples, cluster.options)
    assert cluster.workers() > before
    assert far == near
    assert far["blessed"] == 1
