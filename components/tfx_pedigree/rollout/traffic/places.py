"""Places: servers of their own, each with a folder that it watches, which hold one version at a time.

A place is a process of TensorFlow Serving, or of anything that watches a folder of numbered versions and answers
`GET /v1/models/NAME`. A file beside the versions says which digest the number is; what the server says decides whether
that version serves. Without both, nobody claims to know what a place serves.
"""

from __future__ import annotations

import re
import secrets
import shutil
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from tfx_pedigree.bounded_parse import parse_json, read_bounded
from tfx_pedigree.comparison.config_reader import ConfigNode
from tfx_pedigree.digest import canonical_json
from tfx_pedigree.errors import ConflictError, UnavailableError
from tfx_pedigree.json_form import read, to_json
from tfx_pedigree.rollout.traffic.api import Materialise, Prepared, Readiness, ServedVersion
from tfx_pedigree.rollout.traffic.bringing import brought
from tfx_pedigree.rollout.traffic.files import locked, write_whole
from tfx_pedigree.rollout.traffic.serving_status import LoadState, load_states, serving_number
from tfx_pedigree.store.durable import sync_folder

MARKER = ".pedigree-version.json"
_LOCK = ".pedigree-lock"
_GONE = ".pedigree-gone-"
_NAME = re.compile(r"[a-z][a-z0-9]{0,30}")


@dataclass(frozen=True)
class Place:
    name: str
    folder: Path  # what the server watches: model_base_path
    address: str  # of its REST port, http://host:port

    @property
    def host(self) -> str:
        return str(urlsplit(self.address).hostname)

    @property
    def port(self) -> int:
        return urlsplit(self.address).port or 80


@dataclass(frozen=True)
class PlaceState:
    """`held` is what was put there; `digest` what the server is seen to serve, None where that is unknown."""

    held: ServedVersion | None
    digest: str | None
    readiness: Readiness
    reason: str | None = None


@dataclass(frozen=True)
class Places:
    """The two places of a model. `serves_as` is the model's name at its servers."""

    model: str
    serves_as: str
    first: Place
    second: Place
    materialise: Materialise

    @property
    def both(self) -> tuple[Place, Place]:
        return self.first, self.second

    def lock(self) -> AbstractContextManager[None]:
        """Held while routes are read and written, and while a place changes hands."""
        return locked(self.first.folder / _LOCK)

    def held(self, place: Place) -> ServedVersion | None:
        try:
            data = read_bounded(place.folder / MARKER)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise UnavailableError(f"{place.folder / MARKER} cannot be read: {error.strerror}.") from error
        found = read(ServedVersion, parse_json(data, str(place.folder / MARKER)), str(place.folder / MARKER))
        if found.model != self.model:
            raise ConflictError(
                f"The place {place.name} ({place.folder}) holds {found.model} {found.version} and not {self.model}. "
                "Give each model folders of its own."
            )
        return found

    def holding(self, digest: str) -> list[Place]:
        return [place for place in self.both if (held := self.held(place)) and held.digest == digest]

    def state(self, place: Place) -> PlaceState:
        held = self.held(place)
        try:
            states = load_states(place.address, self.serves_as)
        except UnavailableError as error:
            return PlaceState(held, None, Readiness.LOADING if held else Readiness.ABSENT, str(error))
        if held is None:
            return PlaceState(None, None, Readiness.ABSENT)
        serving, mine = serving_number(states), states.get(held.sequence)
        if serving == held.sequence:
            return PlaceState(held, held.digest, Readiness.READY)
        if mine is not None and mine.error is not None:
            return PlaceState(held, None, Readiness.FAILED, mine.error)
        if serving is not None and mine is not None and mine.state is LoadState.AVAILABLE:
            reason = f"{place.address} also has version {serving}, which is higher and answers instead"
            return PlaceState(held, None, Readiness.LOADING, reason)
        return PlaceState(held, None, Readiness.LOADING, f"{place.address} has not loaded it yet")

    def choose(self, version: ServedVersion, free: Mapping[str, bool]) -> Place:
        """The place that holds the version; else one that is free and empty, else one that is free."""
        holding = self.holding(version.digest)
        if holding:
            return min(holding, key=lambda place: free[place.name])
        empty = [place for place in self.both if free[place.name]]
        if not empty:
            raise ConflictError(
                f"Both places of {self.model} serve or are kept, so {version.version} has none. End or abort the "
                "rollout that uses them first."
            )
        return min(empty, key=lambda place: self.held(place) is not None)

    def reserve(self, place: Place, version: ServedVersion) -> None:
        """From now on the place is this version's, and takes no requests until that is loaded."""
        number = place.folder / str(version.sequence)
        held = self.held(place)
        if held == version:
            return
        if held is not None and held.sequence == version.sequence and number.exists():
            raise ConflictError(
                f"The place {place.name} has other files as version {version.sequence}, which its server would keep. "
                f"Stop the server, remove {number}, and start it again."
            )
        write_whole(place.folder / MARKER, canonical_json(to_json(version)))

    def fill(self, place: Place, version: ServedVersion) -> Prepared:
        """Brings the files, in the background where that takes long. Safe to do again after a crash."""
        number = place.folder / str(version.sequence)
        going = None if self._is_filled(place, number) else brought(number, lambda: self._bring(place, version, number))
        if going is not None:
            return going
        state = self.state(place)
        return Prepared(state.readiness, state.reason)

    def _is_filled(self, place: Place, number: Path) -> bool:
        numbers = [child for child in place.folder.iterdir() if child.name.isdecimal()]
        return numbers == [number]

    def _bring(self, place: Place, version: ServedVersion, number: Path) -> None:
        with locked(place.folder / f"{_LOCK}-files"):
            if self.held(place) != version:
                return  # the place was given to another version meanwhile
            self._clear(place, keep=number.name)
            if not number.exists():
                self.materialise(version, number)
                sync_folder(place.folder)

    def empty(self, place: Place) -> None:
        with locked(place.folder / f"{_LOCK}-files"):
            self._clear(place, keep="")
            (place.folder / MARKER).unlink(missing_ok=True)

    def _clear(self, place: Place, keep: str) -> None:
        """A version leaves the place in one step, so that a server never loads half of one."""
        for child in sorted(place.folder.iterdir()):
            # Whatever reads as a number is a version to a server, also 0001.
            if child.name.isdecimal() and child.name != keep:
                child.rename(place.folder / f"{_GONE}{child.name}-{secrets.token_hex(4)}")
        for gone in place.folder.glob(f"{_GONE}*"):
            shutil.rmtree(gone, ignore_errors=True)


def read_places(settings: ConfigNode, model: str, materialise: Materialise) -> Places:
    """`places: [{name, folder, address}, {…}]` and, where it is another one, `serves_as`: the name at the servers."""
    table = settings.table()
    if "places" not in table:
        raise settings.wrong("lacks `places`: two of them, each with a `name`, a `folder` and an `address`.")
    places = [_place(node) for node in table["places"].items()]
    if len(places) != 2 or places[0].name == places[1].name or places[0].folder == places[1].folder:
        raise table["places"].must_be("two places with names and folders of their own")
    name = table["serves_as"].text() if "serves_as" in table else model
    return Places(model, name, places[0], places[1], materialise)


def _place(node: ConfigNode) -> Place:
    found = node.fields(("name", "folder", "address"), required=("name", "folder", "address"))
    name, folder = found["name"].text(), Path(found["folder"].text())
    if not _NAME.fullmatch(name):
        raise found["name"].must_be("a short name of letters and digits, such as blue")
    if not folder.is_absolute():
        raise found["folder"].must_be("an absolute path; ${here} is the config's folder")
    return Place(name, folder, read_address(found["address"]))


def read_address(node: ConfigNode) -> str:
    """http://host:port and nothing else: it is written into the configuration of load balancers."""
    text = node.text().rstrip("/")
    try:
        parts = urlsplit(text)
        good = parts.scheme == "http" and re.fullmatch(r"[A-Za-z0-9.-]+", parts.hostname or "") and parts.port
    except ValueError:
        good = False
    if not good or text != f"http://{parts.hostname}:{parts.port}":
        raise node.must_be("an address as http://host:port")
    return text
