"""HAProxy: a map says who gets which share, and one `rand` for each request, drawn into a variable, decides.

The route is one entry of the map, so that a request never sees half of a change: the time until which the share holds,
the second place's share, and the place that gets everything afterwards. The map's file is written first and survives a
reload; then the running process takes the same entries in one commit. When nobody renews the time, HAProxy itself sends
everything to the last place: the clocks of both hosts must agree.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tfx_pedigree.comparison.config_reader import ConfigNode
from tfx_pedigree.errors import ConflictError
from tfx_pedigree.rollout.traffic.api import (
    WHOLE,
    Capabilities,
    Counters,
    Fence,
    Latency,
    ManagerContext,
    Split,
)
from tfx_pedigree.rollout.traffic.files import write_whole
from tfx_pedigree.rollout.traffic.haproxy_socket import HaproxySocket
from tfx_pedigree.rollout.traffic.places import Places, read_places
from tfx_pedigree.rollout.traffic.routed import RoutedTraffic, RouteOrder, Routing

CAPABILITIES = Capabilities(step=1, split=Split.RANDOM, fence=Fence.EPOCH, counters=True, lease=True, drain=True)
_LONGEST_SOCKET = 90
FOREVER = 32_503_680_000_000  # the year 3000, in milliseconds
# Milliseconds up to which an answer is counted, each in a counter of its own; the counter behind them counts all.
BOUNDS = (5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1000.0, 2500.0)


@dataclass(frozen=True)
class HaproxySettings:
    places: Places
    socket: Path
    map: Path

    @property
    def prefix(self) -> str:
        return f"pedigree_{self.places.model}"

    @property
    def latency_table(self) -> str:
        return f"{self.prefix}_latency"


def read_settings(settings: ConfigNode, context: ManagerContext) -> HaproxySettings:
    known = ("places", "serves_as", "socket", "map", "listen")
    found = settings.fields(known, required=("places", "socket", "map"))
    places = read_places(settings, context.model, context.materialise)
    socket = _path(found["socket"])
    if len(str(socket)) > _LONGEST_SOCKET:
        raise found["socket"].must_be(f"a path of at most {_LONGEST_SOCKET} characters, which is all HAProxy takes")
    return HaproxySettings(places, socket, _path(found["map"]))


def _path(node: ConfigNode) -> Path:
    path = Path(node.text())
    if not path.is_absolute() or any(char.isspace() for char in node.text()):
        raise node.must_be("an absolute path without spaces; ${here} is the config's folder")
    return path


def open_haproxy(settings: ConfigNode, context: ManagerContext) -> RoutedTraffic:
    read = read_settings(settings, context)
    return RoutedTraffic(read.places, HaproxyRouter(read, context.seconds))


@dataclass(frozen=True)
class MapEntries:
    """The map as it is written: `route` is `until:share:fallback`, `epoch` and `change` are for controllers only."""

    until: int
    share: int  # of the second place
    fallback: str
    epoch: int
    change: int

    def entries(self) -> dict[str, str]:
        route = f"{self.until}:{self.share}:{self.fallback}"
        return {"route": route, "epoch": str(self.epoch), "change": str(self.change)}

    def file(self) -> bytes:
        rows = "".join(f"{key} {value}\n" for key, value in self.entries().items())
        return f"# Written by pedigree, at every change and every renewal.\n{rows}".encode()

    @classmethod
    def first(cls, place: str) -> MapEntries:
        """Everything to the first place, before any controller came."""
        return cls(0, 0, place, 0, 0)

    @classmethod
    def of(cls, entries: dict[str, str], places: Places) -> MapEntries:
        if not entries:
            return cls.first(places.first.name)
        try:
            until, share, fallback = entries["route"].split(":")
            found = cls(int(until), int(share), fallback, int(entries["epoch"]), int(entries["change"]))
        except (KeyError, ValueError) as error:
            raise ConflictError(
                "HAProxy's map was not written by Pedigree. Give it a file of its own: `pedigree rollout template "
                "haproxy --prepare` writes the first one."
            ) from error
        if fallback not in {place.name for place in places.both} or not 0 <= found.share <= WHOLE:
            raise ConflictError(f"HAProxy's map names the place {fallback!r}, which the target does not have.")
        return found


class HaproxyRouter:
    def __init__(self, settings: HaproxySettings, seconds: Callable[[], float]) -> None:
        self._settings = settings
        self._places = settings.places
        self._socket = HaproxySocket(settings.socket)
        self._seconds = seconds

    def capabilities(self) -> Capabilities:
        return CAPABILITIES

    def read(self) -> Routing:
        found = self._entries()
        left = (found.until / 1000) - self._seconds()
        first, second = self._places.first.name, self._places.second.name
        if left > 0:
            points = {first: WHOLE - found.share, second: found.share}
        else:
            points = {name: WHOLE * (name == found.fallback) for name in (first, second)}
        leased = found.until not in (0, FOREVER)
        return Routing(
            points, found.fallback, found.epoch or None, str(found.change), max(left, 0.0) if leased else None
        )

    def write(self, order: RouteOrder, expect: str | None) -> str | None:
        before = self._entries()
        until = FOREVER
        if order.lease_seconds is not None:
            until = math.ceil((self._seconds() + order.lease_seconds) * 1000)
        share = order.points[self._places.second.name]
        same = (before.share, before.fallback, before.epoch) == (share, order.fallback, order.epoch)
        after = MapEntries(until, share, order.fallback, order.epoch, before.change + (not same))
        write_whole(self._settings.map, after.file())
        self._socket.replace_map(self._settings.map, after.entries())
        return str(after.change)

    def up(self, place: str) -> bool | None:
        """The check runs in the backend that has this place alone; the others follow it."""
        name = f"{self._settings.prefix}_{place}"
        for row in self._socket.stat_rows():
            if (row["pxname"], row["svname"]) == (name, place):
                return row["status"].startswith(("UP", "no check"))
        raise ConflictError(
            f"HAProxy has no backend {name}. Write its configuration with `pedigree rollout template haproxy`, and "
            "reload it."
        )

    def counters(self, place: str) -> Counters | None:
        """A request that another place answered counts as a redispatch of the place that failed it."""
        rows = self._rows_of(place)
        total = sum(_count(row, "req_tot") for row in rows if row["svname"] == "BACKEND")
        own = [row for row in rows if row["svname"] == place]
        others = [row for row in rows if row["svname"] not in ("BACKEND", place)]
        backends = [row for row in rows if row["svname"] == "BACKEND"]
        connecting, answering = (sum(_count(row, name) for row in own) for name in ("econ", "eresp"))
        answered_5xx = sum(_count(row, "hrsp_5xx") for row in own)
        # HAProxy's own 503 and 504, but for those that follow an error that is counted already.
        made_5xx = sum(_count(row, "hrsp_5xx") for row in backends) - answered_5xx
        made_5xx -= sum(_count(row, "hrsp_5xx") for row in others)
        return Counters(
            self._socket.process(),
            total,
            responses_5xx=answered_5xx + max(0, made_5xx - connecting - answering),
            connection_errors=connecting,
            response_errors=answering,
            retries=sum(_count(row, "wretr") for row in own),
            redispatches=sum(_count(row, "stot") for row in others),
            up=self.up(place),
            latency=self._latency(place),
        )

    def inflight(self, place: str) -> int | None:
        return sum(_count(row, "scur") for row in self._rows_of(place) if row["svname"] == "BACKEND")

    def _entries(self) -> MapEntries:
        return MapEntries.of(self._socket.read_map(self._settings.map), self._places)

    def _rows_of(self, place: str) -> list[dict[str, str]]:
        """Of the backends that a request of this place goes to: it alone, and it with the other for its failures."""
        names = {f"{self._settings.prefix}_{place}", f"{self._settings.prefix}_{place}_or_other"}
        return [row for row in self._socket.stat_rows() if row["pxname"] in names]

    def _latency(self, place: str) -> Latency | None:
        counts = self._socket.table_counts(self._settings.latency_table).get(place)
        if counts is None:
            return None
        return Latency(BOUNDS, tuple(counts.get(at, 0) for at in range(len(BOUNDS))), counts.get(len(BOUNDS), 0))


def _count(row: dict[str, str], name: str) -> int:
    text = row.get(name) or "0"
    return int(text) if text.isdecimal() else 0
