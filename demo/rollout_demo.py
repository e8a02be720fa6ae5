"""Two canaries in front of real traffic: one does harm and is rolled back by itself, one is good and takes over.

    make demo-rollout

Two serving processes load SavedModels with TensorFlow; a real Envoy stands in front of them, and clients ask it for
predictions all the time and try nothing twice. The commands are the real ones. Everything is in build/demo-rollout,
which is made anew each time; at the end timeline.html there shows what happened.
"""

from __future__ import annotations

import http.client
import itertools
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.live import Live
from rich.rule import Rule
from rich.table import Table
from rollout_picture import Mark, Moment, write_picture

from tfx_pedigree.errors import PedigreeError
from tfx_pedigree.registry import Evidence, Recommendation, Registry, Verdict
from tfx_pedigree.service.rollouts.desk import RolloutDesk
from tfx_pedigree.service.workspace import connect

ROOT = Path(__file__).parents[1]
HOME = ROOT / "build" / "demo-rollout"
PEDIGREE = Path(sys.executable).with_name("pedigree")
ENVOY = ROOT / "build/programs/envoy"
MODEL = "flight-delay"
CLIENTS, PAUSE = 6, 0.02
LOOK_SECONDS = 0.25
PLAN = """\
strategy: canary
steps: [10 %, 50 %, 100 %]
bake: {requests: 150, time: 3s}
judge:
  errors: {margin: 2, acceptable: 2 %}
keep: 10m
lease: 5s
"""

console = Console(highlight=False)


def say(text: str) -> None:
    console.print()
    console.print(Rule(style="dim"))
    console.print(f"[bold]{text}[/bold]")


def pedigree(*words: str, quietly: bool = False) -> None:
    """Runs a command as a user would, in their place, and shows both."""
    shown = " ".join(f"'{word}'" if " " in word else word for word in words)
    console.print(f"\n[green]$ pedigree {shown}[/green]")
    done = subprocess.run([str(PEDIGREE), *words], cwd=HOME, env=environment(), check=False, capture_output=quietly)
    if done.returncode:
        sys.exit(f"The demonstration stops here: exit code {done.returncode}.")


def environment() -> dict[str, str]:
    columns = str(min(console.width, 110))
    quiet = {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}
    # Whatever registry is configured here or above, the demonstration has its own.
    kept = {name: text for name, text in os.environ.items() if not name.startswith("PEDIGREE_")}
    return {**kept, **quiet, "COLUMNS": columns, "PEDIGREE_ACTOR": "demo", "PEDIGREE_CONFIG": "pedigree.yaml"}


def free_ports(count: int) -> list[int]:
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in held]
    for one in held:
        one.close()
    return ports


@dataclass
class Programs:
    """What the demonstration started, each with a log in build/demo-rollout; all end with it."""

    running: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(self, name: str, *command: str) -> subprocess.Popen[bytes]:
        with (HOME / f"{name}.log").open("wb") as log:
            process = subprocess.Popen(list(command), cwd=HOME, env=environment(), stdout=log, stderr=log)
        self.running.append(process)
        return process

    def stop(self) -> None:
        for process in self.running:
            process.terminate()
        for process in self.running:
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()


class Clients:
    """Ask for predictions all the time. What each version answered and failed is counted; nothing is tried twice."""

    def __init__(self, port: int, bodies: list[bytes]) -> None:
        self.port = port
        self.answered: Counter[str] = Counter()
        self.failed: Counter[str] = Counter()
        self._lock = threading.Lock()
        for number in range(CLIENTS):
            mine = itertools.cycle(bodies[number::CLIENTS])
            threading.Thread(target=self._run, args=(mine,), daemon=True).start()

    def _run(self, bodies: itertools.cycle[bytes]) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        while True:
            version, good = "nobody", False
            try:
                connection.request("POST", f"/v1/models/{MODEL}:predict", next(bodies))
                answer = connection.getresponse()
                answer.read()
                version, good = answer.getheader("X-Model-Version") or "nobody", answer.status == 200
            except (OSError, http.client.HTTPException):
                connection.close()
            with self._lock:
                (self.answered if good else self.failed)[version] += 1
            time.sleep(PAUSE)

    def take(self) -> tuple[dict[str, int], dict[str, int]]:
        """What came since the last call."""
        with self._lock:
            found = dict(self.answered), dict(self.failed)
            self.answered.clear()
            self.failed.clear()
        return found


class Watcher:
    """Looks all the time at what is served and how the rollout stands, shows it live, and keeps it for the picture."""

    def __init__(self, clients: Clients) -> None:
        self._clients = clients
        self._began = time.monotonic()
        self.moments: list[Moment] = []
        self.marks: list[Mark] = []
        self._names: dict[str, str] = {}
        self._digests: dict[str, str] = {}  # to the server's number
        self._seen: tuple[str, str, int] | None = None
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Watcher:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        with connect(str(HOME / ".pedigree"), actor="demo") as workspace:
            desk = RolloutDesk(workspace, HOME / "pedigree.yaml")
            while not self._over.wait(LOOK_SECONDS):
                self._look(desk)

    def name(self, number: int, version: str, model: str) -> None:
        """The server says a number, the registry a version."""
        self._names[str(number)] = f"{version} ({model})"

    def mark(self, text: str) -> None:
        self.marks.append(Mark(time.monotonic() - self._began, text))

    def until(self, version: str, phases: set[str], most: float = 90.0) -> str:
        """Shows the version's rollout until it is in one of these phases."""
        end = time.monotonic() + most
        with Live(console=console, refresh_per_second=4) as live:
            while time.monotonic() < end:
                candidate, phase, _ = self._seen or ("", "", 0)
                if candidate == version and self.moments:
                    live.update(self._table(phase, version))
                    if phase in phases:
                        return phase
                time.sleep(LOOK_SECONDS)
        sys.exit(f"The rollout did not end within {most:.0f} s: see build/demo-rollout/controller.log.")

    def _look(self, desk: RolloutDesk) -> None:
        rollout = desk.api.rollout(MODEL).rollout
        phase = str(rollout.state.phase)
        seen = (rollout.candidate.version, phase, rollout.state.step)
        if seen != self._seen and not rollout.is_deployment:
            share = f" with {rollout.share / 100:g} %" if phase == "stepping" else ""
            why = f": {rollout.state.reason}" if rollout.state.reason and phase != "rolled-back" else ""
            self.mark(f"{rollout.candidate.version} is {phase}{share}{why}")
        try:
            observed = desk.serving(MODEL).observed
        except PedigreeError:
            return
        self._digests |= {one.digest: str(one.sequence) for one in (rollout.candidate, rollout.stable) if one}
        found = [(self._digests.get(arm.digest or ""), arm.points) for arm in observed.arms]
        shares = {self._names[number]: points for number, points in found if number in self._names}
        answered, failed = (
            {self._names.get(number, number): count for number, count in counted.items()}
            for counted in self._clients.take()
        )
        self.moments.append(Moment(time.monotonic() - self._began, shares, answered, failed))
        self._seen = seen

    def _table(self, phase: str, candidate: str) -> Table:
        table = Table("version", "share", "", "answers", "failed", title=f"{candidate}: {phase}", title_justify="left")
        last = self.moments[-1]
        for version, points in sorted(last.shares.items()):
            answers = sum(moment.answered.get(version, 0) for moment in self.moments)
            failures = sum(moment.failed.get(version, 0) for moment in self.moments)
            bar = "█" * round(points / 400)
            table.add_row(version, f"{points / 100:g} %", f"{bar:<25}", f"{answers:,}", f"{failures:,}")
        return table


def write_config(ports: list[int]) -> None:
    places = [
        {"name": name, "folder": f"${{here}}/serving/{name}", "address": f"http://127.0.0.1:{port}"}
        for name, port in zip(("blue", "green"), ports, strict=False)
    ]
    target = {
        "model": MODEL,
        "kind": "envoy",
        "listen": f"127.0.0.1:{ports[2]}",
        "admin": f"http://127.0.0.1:{ports[3]}",
        "controller": f"127.0.0.1:{ports[4]}",
        "runtime": "${here}/envoy-runtime",
        "places": places,
    }
    # JSON is YAML, too.
    (HOME / "pedigree.yaml").write_text(json.dumps({"registry": ".pedigree", "serving": {"edge": target}}, indent=2))
    (HOME / "rollout.yaml").write_text(PLAN)


def wait(true: Callable[[], bool], what: str, seconds: float = 300.0) -> None:
    end = time.monotonic() + seconds
    with console.status(what):
        while not true():
            if time.monotonic() > end:
                sys.exit(f"{what}: not within {seconds:.0f} s. The logs are in build/demo-rollout.")
            time.sleep(0.1)


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def judged(challenger: str, champion: str, reason: str) -> str:
    """Evidence, as VersionComparator writes it in a pipeline: both were compared on flights that neither had seen."""
    with Registry.open(HOME / ".pedigree", actor="demo") as registry:
        digests = [registry.get(f"{MODEL}@{version}").digest for version in (challenger, champion)]
    evidence = Evidence(digests[0], digests[1], Verdict.PASS, reason, Recommendation.CHALLENGER)
    path = HOME / f"evidence-{challenger}.json"
    path.write_text(json.dumps(evidence.to_json(), indent=2))
    return path.name


def register(model: str, *more: str) -> tuple[str, int]:
    """The version's number in the registry, and the one that serving uses."""
    pedigree("register", MODEL, f"models/{model}", *more)
    with Registry.open(HOME / ".pedigree", actor="demo") as registry:
        version = registry.get(f"{MODEL}@latest")
    return version.version, version.sequence


def set_up(programs: Programs, ports: list[int]) -> None:
    say("Three models of flight delays are trained, and two servers and an Envoy start.")
    training = programs.start("training", sys.executable, str(ROOT / "demo/rollout_models.py"), str(HOME / "models"))
    for name, port in zip(("blue", "green"), ports, strict=False):
        folder = str(HOME / "serving" / name)
        programs.start(name, sys.executable, str(ROOT / "demo/rollout_server.py"), MODEL, str(port), folder)
    with (HOME / "envoy.yaml").open("wb") as file:
        words = [str(PEDIGREE), "rollout", "template", "envoy", "--prepare"]
        subprocess.run(words, cwd=HOME, env=environment(), stdout=file, check=True)
    programs.start("envoy", str(ENVOY), "-c", "envoy.yaml", "--concurrency", "2", "--disable-hot-restart")
    wait(lambda: training.poll() is not None, "Training on a month of real flights")
    if training.returncode:
        sys.exit("The models could not be trained: see build/demo-rollout/training.log.")
    wait(lambda: all(map(listens, ports[:3])), "The servers load TensorFlow")


def first_champion() -> tuple[str, int]:
    say("The first model becomes champion, and the traffic follows it.")
    pedigree("init", quietly=True)
    version = register("steady")
    pedigree("promote", f"{MODEL}@{version[0]}", "--reason", "first model")
    pedigree("deploy", MODEL)
    return version


def harmful(watcher: Watcher, champion: str) -> None:
    say("A model that was trained and judged on some carriers only: it passed, and cannot answer for the others.")
    version, number = register("narrow")
    watcher.name(number, version, "narrow")
    pedigree("evidence", "attach", f"{MODEL}@{version}", judged(version, champion, "auc is 2 % better"), quietly=True)
    pedigree("rollout", "start", f"{MODEL}@{version}", "--plan", "rollout.yaml")
    if watcher.until(version, {"rolled-back", "keeping", "done"}) != "rolled-back":
        sys.exit("The harmful canary was not rolled back.")
    pedigree("rollout", "status", MODEL)


def good(watcher: Watcher, champion: str) -> None:
    say("A better model, for all carriers: it takes over step by step.")
    version, number = register("better")
    watcher.name(number, version, "better")
    pedigree("evidence", "attach", f"{MODEL}@{version}", judged(version, champion, "auc is 3 % better"), quietly=True)
    pedigree("rollout", "start", f"{MODEL}@{version}", "--plan", "rollout.yaml")
    if watcher.until(version, {"rolled-back", "keeping", "done"}) == "rolled-back":
        sys.exit("The good canary was rolled back.")
    pedigree("serving", MODEL)


def way_back(watcher: Watcher) -> None:
    say("Somebody wants the old one back: registry and traffic as one operation. It was kept warm.")
    watcher.mark("somebody rolls back")
    began = time.monotonic()
    pedigree("rollback", MODEL, "--reason", "the afternoon looks odd")
    console.print(f"It took {time.monotonic() - began:.1f} s.")
    time.sleep(1)
    pedigree("serving", MODEL)


def run(programs: Programs, ports: list[int]) -> None:
    set_up(programs, ports)
    champion, number = first_champion()
    programs.start("controller", str(PEDIGREE), "rollout", "controller")
    bodies = (HOME / "models/requests.jsonl").read_bytes().splitlines()
    clients = Clients(ports[2], bodies)
    with Watcher(clients) as watcher:
        watcher.name(number, champion, "steady")
        harmful(watcher, champion)
        good(watcher, champion)
        way_back(watcher)
    write_picture(HOME / "timeline.html", watcher.moments, watcher.marks)
    failed = sum((Counter(one.failed) for one in watcher.moments), Counter())
    total = sum(failed.values()) + sum(sum(one.answered.values()) for one in watcher.moments)
    say(f"{total:,} requests, {sum(failed.values()):,} failed: {', '.join(f'{n} of {v}' for v, n in failed.items())}.")
    console.print("The timeline is in build/demo-rollout/timeline.html, the commands' folder is build/demo-rollout.")


def main() -> None:
    if not os.access(ENVOY, os.X_OK):
        sys.exit("There is no Envoy in build/programs: `make setup` fetches it, or says why not.")
    if HOME.exists():
        shutil.rmtree(HOME)
    HOME.mkdir(parents=True)
    ports, programs, began = free_ports(5), Programs(), time.monotonic()
    write_config(ports)
    try:
        run(programs, ports)
    finally:
        programs.stop()
    console.print(f"All of it took {time.monotonic() - began:.0f} s.")


if __name__ == "__main__":
    main()
