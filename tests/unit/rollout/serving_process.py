"""A stand-in for servers of models: watches folders of numbered versions and speaks TensorFlow Serving's REST status.

    python serving_process.py MODEL PORT=FOLDER [PORT=FOLDER …]

It loads no model: a prediction's answer is the number of the version that gave it. A version's folder may have a file
`behaviour.json`: {"broken": true} does not load, {"failing": 0.5} answers half the requests with 500, {"slow": 0.05}
waits so many seconds. One line on standard output says that it listens.
"""

from __future__ import annotations

import asyncio
import functools
import json
import os
import random
import sys
from pathlib import Path


def versions(folder: Path) -> dict[int, dict[str, object]]:
    """What is there now. Asked at each request, as if the folder were polled all the time."""
    return {int(child.name): behaviour_of(child) for child in folder.iterdir() if child.name.isdecimal()}


def behaviour_of(folder: Path) -> dict[str, object]:
    try:
        found = json.loads((folder / "behaviour.json").read_text("utf-8"))
    except FileNotFoundError:
        return {}
    assert isinstance(found, dict)
    return found


def status(found: dict[int, dict[str, object]]) -> tuple[int, bytes]:
    if not found:
        return 404, json.dumps({"error": "Could not find any versions of the model"}).encode()
    rows = []
    for number, behaviour in found.items():
        error = {"error_code": "INTERNAL", "error_message": "no signature"} if behaviour.get("broken") else {}
        state = "END" if error else "AVAILABLE"
        rows.append({"version": str(number), "state": state, "status": error or {"error_code": "OK"}})
    return 200, json.dumps({"model_version_status": rows}).encode()


class Served:
    """What a folder serves. A version is read once; which one is there is looked up at each request."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.read: dict[tuple[int, int], dict[str, object]] = {}  # by the file's inode and time
        self.number: int | None = None
        self.behaviour: dict[str, object] = {}

    def look(self) -> None:
        self.number = None
        with os.scandir(self.folder) as children:
            numbers = sorted((int(child.name) for child in children if child.name.isdecimal()), reverse=True)
        for number in numbers:
            behaviour = self.behaviour_of(number)
            if not behaviour.get("broken"):
                self.number, self.behaviour = number, behaviour
                return

    def behaviour_of(self, number: int) -> dict[str, object]:
        try:
            found = (self.folder / str(number) / "behaviour.json").stat()
        except FileNotFoundError:
            return {}
        key = (found.st_ino, found.st_mtime_ns)
        if key not in self.read:
            self.read[key] = behaviour_of(self.folder / str(number))
        return self.read[key]


async def answer(model: str, served: Served, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            lower = head.lower()
            at = lower.find(b"content-length:")
            if at >= 0:
                await reader.readexactly(int(lower[at + 15 : lower.index(b"\r", at)]))
            served.look()
            if head.startswith(b"GET"):
                code, body = status(versions(served.folder))
            elif served.number is None:
                code, body = 404, b"{}"
            else:
                slow = float(str(served.behaviour.get("slow", 0)))
                if slow:
                    await asyncio.sleep(slow)
                failing = float(str(served.behaviour.get("failing", 0)))
                code = 500 if failing and random.random() < failing else 200
                body = b'{"predictions": [%d]}' % served.number
            reason = b"OK" if code == 200 else b"No"
            length = b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
            writer.write(b"HTTP/1.1 %d %s\r\n" % (code, reason) + length + body)
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()


async def main(model: str, places: list[str]) -> None:
    servers = []
    for place in places:
        port, _, folder = place.partition("=")
        handler = functools.partial(answer, model, Served(Path(folder)))
        servers.append(await asyncio.start_server(handler, "127.0.0.1", int(port), backlog=1024))
    print("listening", flush=True)
    await asyncio.gather(*(server.serve_forever() for server in servers))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2:]))
