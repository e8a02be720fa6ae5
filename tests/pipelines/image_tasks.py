"""What `make image-check` runs in an image: the reference pipeline, compiled in there, and each of its tasks.

    image_tasks.py --work FOLDER --image NAME -- COMMAND…

COMMAND starts what follows it in the image, which sees FOLDER under the same path. The service is that of the
conformance test, but each task is a container's process. Kubeflow's launcher and a cluster are not there.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from conformance_testing import Service

from tfx_pedigree.orchestration.ir import Task, load_ir

ROOT = Path(__file__).resolve().parents[2]
MODEL = "flight-delay"
USER = 10001  # whom the images run as
ROWS = 5000


class FailedError(Exception):
    """A command in the image ended with an error; the message has the end of what it said."""


@dataclass(frozen=True)
class Image:
    """Starts commands in the image. All that one says is kept in a file of its name."""

    command: tuple[str, ...]
    logs: Path

    def run(self, name: str, command: Sequence[str]) -> str:
        log = self.logs / f"{name}.log"
        with log.open("wb") as file:
            done = subprocess.run([*self.command, *command], check=False, stdout=subprocess.PIPE, stderr=file)
        said = done.stdout.decode("utf-8", "replace")
        if done.returncode:
            last = [*log.read_text("utf-8", "replace").splitlines(), *said.splitlines()][-20:]
            raise FailedError("\n".join([f"{name} ended with {done.returncode}; the end of {log}:", *last]))
        return said


class ImageService(Service):
    """Runs every task in the image, with the environment that the compiled pipeline gives its container."""

    def __init__(self, folder: Path, image: Image) -> None:
        super().__init__(folder)
        self._place, self._image = folder, image

    def _execute(self, task: Task, how: dict[str, Any], given: dict[str, Any]) -> None:
        started, text = time.monotonic(), json.dumps(given)
        environment = [f"{one['name']}={one['value']}" for one in task.container.get("env", ())]
        words = [word.replace("{{$}}", text) for word in how["args"]]
        hand_over(self._place)
        self._image.run(task.key, ["env", *environment, *how["command"], *words])
        say(f"ok      {task.key:<18} {time.monotonic() - started:4.0f} s")


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def prepare(work: Path, image: str) -> Path:
    """The pipeline's source, a month of data, and a config whose root, data and registry lie in the mounted folder."""
    shutil.rmtree(work, ignore_errors=True)
    for name in ("pipelines", "configs"):
        shutil.copytree(ROOT / name, work / "source" / name, ignore=shutil.ignore_patterns("__pycache__"))
    file = work / "source/configs/kubeflow.yaml"
    config = yaml.safe_load(file.read_text("utf-8"))
    config["pipeline"]["settings"] |= {"root": str(work / "artifacts"), "data": str(work / "data")}
    # In a cluster it is a database, whose password is one of the cluster's secrets.
    config["target"]["env"]["PEDIGREE_REGISTRY"] = str(work / "registry")
    config["target"].pop("secrets", None)
    config["target"]["image"] = image
    file.write_text(yaml.safe_dump(config), "utf-8")
    words = [sys.executable, "-m", "pipelines.flight_delay.data", "--to", str(work / "data")]
    subprocess.run([*words, "--months", "1", "--rows", str(ROWS)], check=True, cwd=ROOT, stdout=subprocess.DEVNULL)
    hand_over(work)
    return file


def hand_over(folder: Path) -> None:
    """To whom the image runs as: what is made out here is root's."""
    for path in (folder, *folder.rglob("*")):
        os.chown(path, USER, USER)


def try_out(image: Image, work: Path, config: Path) -> None:
    registry = ["pedigree", "--registry", str(work / "registry")]
    image.run("init", [*registry, "init"])
    # Who makes a registry is its admin, and is not who runs the pipeline: that one must be allowed to promote.
    image.run("grant", [*registry, "roles", "grant", "pipeline", "releaser"])
    compiled = work / "pipeline.yaml"
    image.run("compile", ["pedigree", "--config", str(config), "pipeline", "compile", "--output", str(compiled)])
    ImageService(work / "tasks", image).run(load_ir(compiled))
    say(image.run("versions", [*registry, "versions", MODEL]).rstrip())
    (version,) = json.loads(image.run("version", [*registry, "versions", MODEL, "--json"]))["items"]
    if version["state"] != "production":
        raise FailedError(f"The tasks ran, but {MODEL} {version['version']} is in {version['state']}: see above.")


def main(arguments: Iterable[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--work", type=Path, required=True, help="a folder that the image sees under the same path")
    parser.add_argument("--image", required=True, help="the name that is compiled into the pipeline")
    parser.add_argument("command", nargs="+", help="what starts a command in the image")
    options = parser.parse_args(None if arguments is None else list(arguments))
    work: Path = options.work.absolute()
    logs = work.with_name(f"{work.name}.logs")
    logs.mkdir(parents=True, exist_ok=True)
    try:
        try_out(Image(tuple(options.command), logs), work, prepare(work, options.image))
    except FailedError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
