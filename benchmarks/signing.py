"""What signing a version and verifying its signature add to the hash pass over its bytes that is done anyway.

    python benchmarks/signing.py [--size MIB] [--rounds N] [--dir FOLDER]

A model of 1 GiB in 201 files is put, registered and signed in a registry of its own. Each round times, in turn: all
bytes read and hashed (`verify`), the same with the signature, and `sign`. What a signature adds is the difference
within a round; beside it, the same work timed alone, without the bytes, which a busy disk cannot hide.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path

from rich.console import Console
from rich.table import Table

from store import MIB, make_model
from tfx_pedigree.registry import Registry
from tfx_pedigree.service.intake import candidate_of
from tfx_pedigree.service.versions.signing import check_signature, sign_version
from tfx_pedigree.service.workspace import connect
from tfx_pedigree.signing import FileKey, read_trusted, sign_model, verify

LIMIT = 20.0  # milliseconds


def main() -> None:
    parser = argparse.ArgumentParser(description="Measures what signatures add to the hash pass.")
    parser.add_argument("--size", type=int, default=1024, help="MiB of the model (default 1024)")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--dir", type=Path, default=None, help="where to work (default: a temporary folder)")
    options = parser.parse_args()
    work = Path(tempfile.mkdtemp(prefix="pedigree-bench-", dir=options.dir))
    try:
        report(options, measure(work, options.size, options.rounds))
    finally:
        shutil.rmtree(work, ignore_errors=True)


def measure(work: Path, size: int, rounds: int) -> dict[str, list[float]]:
    private, public = _keys(work)
    Registry.create(work / "registry", actor="bench").close()
    times: dict[str, list[float]] = {}
    with connect(work / "registry", actor="bench") as workspace:
        candidate = candidate_of(workspace.store, make_model(work / "model", size * MIB))
        workspace.registry.add("bench", candidate)
        signer, trusted = FileKey(private), (read_trusted(public),)
        reference = "bench@1.0.0"
        _, bundle = sign_version(workspace, reference, signer)
        manifest = workspace.store.manifest(candidate.digest)
        steps: dict[str, Callable[[], object]] = {
            "verify the bytes": lambda: workspace.store.verify([candidate.digest]),
            "verify bytes and signature": lambda: check_signature(workspace, reference, bundle, trusted),
            "sign": lambda: sign_version(workspace, reference, signer),
            "alone: make a signature": lambda: sign_model(manifest, "bench", signer),
            "alone: verify a signature": lambda: verify(bundle, trusted, datetime.now(timezone.utc)),
        }
        for name in steps:
            times[name] = []
        for _ in range(rounds):
            for name, step in steps.items():
                began = time.perf_counter()
                step()
                times[name].append((time.perf_counter() - began) * 1000)
    return times


def _keys(work: Path) -> tuple[Path, Path]:
    private, public = work / "release.pem", work / "release.pub"
    subprocess.run(["openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", str(private)], check=True)
    subprocess.run(
        ["openssl", "ec", "-in", str(private), "-pubout", "-out", str(public)], check=True, capture_output=True
    )
    return private, public


def report(options: argparse.Namespace, times: dict[str, list[float]]) -> None:
    table = Table(title=f"{options.size} MiB in 201 files, {options.rounds} rounds: milliseconds")
    for column in ("", "lowest", "median", "highest"):
        table.add_column(column, justify="right" if column else "left")
    pairs = zip(times["verify bytes and signature"], times["verify the bytes"], strict=True)
    added = {"what the signature adds to verify": [one - other for one, other in pairs]}
    for name, found in {**times, **added}.items():
        table.add_row(name, *(f"{value:,.2f}" for value in (min(found), statistics.median(found), max(found))))
    console = Console()
    console.print(table)
    console.print(f"Signing and verifying may add {LIMIT:g} ms at the most, wanted. Signing reads no file at all.")


if __name__ == "__main__":
    main()
