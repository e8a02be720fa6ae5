"""HAProxy's runtime API: commands over its stats socket, and what `show map`, `show stat` and `show table` answer."""

from __future__ import annotations

import csv
import io
import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tfx_pedigree.errors import ConflictError, UnavailableError
from tfx_pedigree.text import plain

_SECONDS = 5.0
_LARGEST = 16 << 20
_ENTRY = re.compile(r"^0x[0-9a-f]+ (\S+) (\S+)$", re.MULTILINE)
_CREATED = re.compile(r"New version created: (\d+)")
_TABLE_ROW = re.compile(r"^0x[0-9a-f]+: key=(\S+) (.*)$", re.MULTILINE)
_GPC = re.compile(r"\bgpc(\d+)=(\d+)")


@dataclass(frozen=True)
class HaproxySocket:
    path: Path

    def ask(self, command: str) -> str:
        """One command. `UnavailableError` where nobody listens."""
        try:
            with socket.socket(socket.AF_UNIX) as channel:
                channel.settimeout(_SECONDS)
                channel.connect(str(self.path))
                channel.sendall(command.encode() + b"\n")
                parts, size = [], 0
                while part := channel.recv(1 << 16):
                    parts.append(part)
                    size += len(part)
                    if size > _LARGEST:
                        raise UnavailableError(f"HAProxy at {self.path} answers with more than {_LARGEST >> 20} MiB.")
        except OSError as error:
            raise UnavailableError(
                f"HAProxy does not answer at {self.path} ({error.strerror or type(error).__name__}). Is it running, "
                "with `stats socket` and `level admin`, and may this user write to the socket?"
            ) from error
        return b"".join(parts).decode("utf-8", "replace")

    def read_map(self, file: Path) -> dict[str, str]:
        answer = self.ask(f"show map {file}")
        if "Unknown map" in answer:
            raise ConflictError(
                f"HAProxy at {self.path} uses no map {file}. Write its configuration with `pedigree rollout template "
                "haproxy`, and give the map's path as it stands there."
            )
        return dict(_ENTRY.findall(answer))

    def replace_map(self, file: Path, entries: Mapping[str, str]) -> None:
        """All of it in one step: a request sees the old map or the new one."""
        created = _CREATED.search(self.ask(f"prepare map {file}"))
        if created is None:
            self.read_map(file)
            raise UnavailableError(f"HAProxy at {self.path} cannot prepare a map. It must be 2.4 or newer.")
        version = created[1]
        rows = "".join(f"{key} {value}\n" for key, value in entries.items())
        for command in (f"add map @{version} {file} <<\n{rows}", f"commit map @{version} {file}"):
            answer = self.ask(command).strip()
            if answer:
                raise UnavailableError(f"HAProxy at {self.path} did not take the map: {plain(answer, 200)}")

    def stat_rows(self) -> list[dict[str, str]]:
        answer = self.ask("show stat")
        return list(csv.DictReader(io.StringIO(answer.lstrip("# "))))

    def table_counts(self, table: str) -> dict[str, dict[int, int]]:
        """The counters of a stick table by key."""
        return {
            key: {int(number): int(count) for number, count in _GPC.findall(rest)}
            for key, rest in _TABLE_ROW.findall(self.ask(f"show table {table}"))
        }

    def process(self) -> str:
        """Names the worker that counts: a reload begins another one."""
        info = dict(re.findall(r"^(\w+): (.*)$", self.ask("show info"), re.MULTILINE))
        return f"haproxy-{info.get('Pid', '?')}-{info.get('Start_time_sec', '?')}"
