"""What was made of something that never changes, kept for the next who asks: the least lately used goes first."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Generic, TypeVar

V = TypeVar("V")


class Kept(Generic[V]):
    """By digest, so that it holds for every registry of this process. Safe in several threads."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._values: OrderedDict[str, V] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, digest: str) -> V | None:
        with self._lock:
            if digest in self._values:
                self._values.move_to_end(digest)
            return self._values.get(digest)

    def keep(self, digest: str, value: V) -> V:
        with self._lock:
            self._values[digest] = value
            while len(self._values) > self._most:
                self._values.popitem(last=False)
        return value
