"""Places: what they hold, how a version comes, and who is believed about it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from balancer_testing import VERSIONS, Processes, Serving, until, version

from tfx_pedigree.errors import ConflictError, DamagedError, PedigreeError, UnavailableError
from tfx_pedigree.rollout.traffic.api import Readiness, ServedVersion
from tfx_pedigree.rollout.traffic.places import MARKER, Places, read_places

FREE = {"blue": True, "green": True}


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    folder = tmp_path_factory.mktemp("places")
    processes = Processes(folder)
    made = Serving(folder / "models", processes)
    try:
        made.start()
        yield made
    finally:
        processes.stop()


@pytest.fixture
def places(servers: Serving) -> Places:
    servers.empty()
    return read_places(servers.settings(), "penguin", servers.materialise)


def placed_once(places: Places, wanted: ServedVersion) -> Readiness:
    place = places.choose(wanted, FREE)
    places.reserve(place, wanted)
    return places.fill(place, wanted).readiness


def placed(places: Places, wanted: ServedVersion) -> Readiness:
    """What it has come to, when it is decided."""
    found = until(lambda: (now := placed_once(places, wanted)) is not Readiness.LOADING and now, "it is decided")
    assert isinstance(found, Readiness)
    return found


def test_a_model_whose_files_take_long_keeps_nobody_waiting(servers: Serving, places: Places) -> None:
    copied = threading.Event()

    def slowly(wanted: ServedVersion, folder: Path) -> None:
        assert copied.wait(20)
        servers.materialise(wanted, folder)

    slow = replace(places, materialise=slowly)
    began = time.monotonic()
    assert placed_once(slow, VERSIONS[0]) is Readiness.LOADING
    assert placed_once(slow, VERSIONS[0]) is Readiness.LOADING
    assert time.monotonic() - began < 5
    copied.set()
    assert placed(slow, VERSIONS[0]) is Readiness.READY


def test_a_version_that_is_damaged_has_failed_and_a_store_that_is_away_is_asked_again(places: Places) -> None:
    errors: list[Exception] = [DamagedError("the bytes are not those"), UnavailableError("the bucket is away")]

    def failing(wanted: ServedVersion, folder: Path) -> None:
        raise errors[0]

    broken = replace(places, materialise=failing)
    assert placed(broken, VERSIONS[0]) is Readiness.FAILED
    del errors[0]
    with pytest.raises(UnavailableError, match="bucket"):
        placed(broken, VERSIONS[0])
    assert placed(places, VERSIONS[0]) is Readiness.READY


def test_a_higher_number_from_elsewhere_is_removed_with_the_versions_coming(places: Places) -> None:
    """A server answers with the highest: what a Pusher left behind would serve instead."""
    first = places.choose(VERSIONS[0], FREE)
    (first.folder / "1764518400").mkdir()
    (first.folder / "0007").mkdir()
    assert placed(places, VERSIONS[0]) is Readiness.READY
    assert [child.name for child in first.folder.iterdir() if child.name.isdecimal()] == ["1"]


def test_what_came_in_beside_a_version_is_not_believed_to_be_it(places: Places) -> None:
    placed(places, VERSIONS[0])
    [place] = places.holding(VERSIONS[0].digest)
    (place.folder / "50").mkdir()
    found = places.state(place)
    assert (found.digest, found.readiness) == (None, Readiness.LOADING)
    assert found.reason is not None
    assert "also has version 50" in found.reason


def test_files_of_a_number_are_not_taken_for_another_digest(places: Places) -> None:
    placed(places, VERSIONS[0])
    [place] = places.holding(VERSIONS[0].digest)
    other = replace(version(1), digest=f"sha256:{99:064x}")
    with pytest.raises(ConflictError, match="has other files as version 1"):
        places.reserve(place, other)


def test_a_folder_of_another_model_is_refused(places: Places) -> None:
    places.reserve(places.first, replace(VERSIONS[0], model="flight-delay"))
    with pytest.raises(ConflictError, match="holds flight-delay 1.0.0 and not penguin"):
        places.state(places.first)


@pytest.mark.parametrize("text", ["", "{", '{"model": "penguin"}', '{"model": "penguin", "digest": 1}'])
def test_a_note_that_is_damaged_is_refused_with_its_place(places: Places, text: str) -> None:
    (places.first.folder / MARKER).write_text(text, "utf-8")
    with pytest.raises(PedigreeError, match="pedigree-version"):
        places.state(places.first)


def test_two_places_that_serve_leave_none_for_a_third_version(places: Places) -> None:
    with pytest.raises(ConflictError, match="so 3.0.0 has none"):
        places.choose(VERSIONS[2], {"blue": False, "green": False})
