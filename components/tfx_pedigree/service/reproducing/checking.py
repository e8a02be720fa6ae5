"""What cannot be had any more, all of it at once, before anything is built. Pure: from what was recorded and what was
found here, to problems with their next steps, and to what is different without being in the way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from tfx_pedigree.json_form import JsonForm
from tfx_pedigree.service.reproducing.package_index import Availability
from tfx_pedigree.service.reproducing.recorded import Recorded
from tfx_pedigree.text import listed, plural

# The command that runs brings itself along, whatever release was recorded.
OWN_PACKAGE = "tfx-pedigree"
_MOST = 8


class FileState(str, Enum):
    SAME = "same"
    GONE = "gone"
    CHANGED = "changed"
    SAME_SIZE = "same size"


class Place(str, Enum):
    """Where the run can take place."""

    HERE = "current"
    BUILT = "built"


@dataclass(frozen=True)
class Here:
    """What was found on this machine. `repository` is None where there is none; `has_commit` and `has_module` speak of
    it. `availability` is empty where no environment must be built. `interpreter` is one of the recorded Python."""

    repository: str | None = None
    has_commit: bool = False
    has_module: bool = False
    packages: Mapping[str, str] = field(default_factory=dict)
    python: str = ""
    interpreter: str | None = None
    availability: Mapping[str, Availability] = field(default_factory=dict)
    files: Mapping[str, FileState] = field(default_factory=dict)
    missing_bytes: tuple[str, ...] = ()
    missing_settings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Problem(JsonForm):
    """`kind` is code, data, packages, python, recipe, settings or bytes; `step` is what to do."""

    kind: str
    problem: str
    step: str


@dataclass(frozen=True)
class CheckReport(JsonForm):
    """`missing` stands in the way; `unknown` could not be looked at; `notes` are what is different all the same."""

    version: str
    possible: bool
    environment: Place
    missing: tuple[Problem, ...] = ()
    unknown: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def check(recorded: Recorded, here: Here) -> CheckReport:
    place = place_of(recorded, here)
    missing = (
        *_recipe(recorded, here),
        *_code(recorded, here),
        *(_environment(recorded, here) if place is Place.BUILT else ()),
        *_data(recorded, here),
        *_bytes(here),
    )
    unknown, notes = _unknown(recorded, here, place), _notes(recorded, here, place)
    return CheckReport(recorded.version.name, not missing, place, tuple(missing), tuple(unknown), tuple(notes))


def differing_packages(recorded: Recorded, packages: Mapping[str, str]) -> dict[str, tuple[str | None, str | None]]:
    """By name what was recorded and what is here."""
    then = {name: version for name, version in recorded.environment.packages.items() if name != OWN_PACKAGE}
    now = {name: version for name, version in packages.items() if name != OWN_PACKAGE}
    return {name: (then.get(name), now.get(name)) for name in sorted({*then, *now}) if then.get(name) != now.get(name)}


def place_of(recorded: Recorded, here: Here) -> Place:
    """The environment that the command runs in is used where it is the recorded one, or where none was recorded."""
    environment = recorded.environment
    if not environment.packages and not environment.unusable:
        return Place.HERE
    same = _minor(here.python) == environment.minor and not differing_packages(recorded, here.packages)
    return Place.HERE if same and not environment.unusable else Place.BUILT


def _minor(python: str) -> str:
    return ".".join(python.split(".")[:2])


def _recipe(recorded: Recorded, here: Here) -> list[Problem]:
    if recorded.recipe is None:
        why = (
            f"the one that was recorded cannot be read: {recorded.unreadable}"
            if recorded.unreadable
            else ("its run left no recipe in the lineage")
        )
        return [
            Problem(
                "recipe",
                f"It is not known how its pipeline was started: {why}",
                "Give the config of the pipeline: --config FILE. `pedigree pipeline run` records it from now on.",
            )
        ]
    found = []
    if not recorded.recipe.writes:
        found.append(
            Problem(
                "recipe",
                "The config does not say which settings are places that the run writes to, so it could write over what "
                "is there",
                "Name them in the config's `pipeline.writes`, and give it with --config FILE.",
            )
        )
    if here.missing_settings:
        names = listed([f"`{name}`" for name in here.missing_settings])
        found.append(
            Problem(
                "settings",
                f"The lineage keeps no secrets: {names} of the pipeline's settings were hidden",
                f"Give them again: {' '.join(f'--set {name}=VALUE' for name in here.missing_settings)}.",
            )
        )
    return found


def _code(recorded: Recorded, here: Here) -> list[Problem]:
    code, recipe = recorded.code, recorded.recipe
    if code is None:
        return [
            Problem(
                "code",
                "No commit was recorded: the pipeline was not in a git repository, or was given no `git`",
                "It cannot be made again. Give `add_pedigree` the state of the repository: git=capture_git(FOLDER).",
            )
        ]
    if here.repository is None:
        return [Problem("code", "The git repository is not where it was", "Give a clone of it: --repository FOLDER.")]
    if not here.has_commit:
        return [
            Problem(
                "code",
                f"The repository {here.repository} does not have the commit {code.commit[:12]}",
                f"Fetch it there (git -C {here.repository} fetch --all), or give another clone: --repository FOLDER.",
            )
        ]
    found = []
    if code.diff_digest is not None and recorded.diff is None:
        found.append(
            Problem(
                "code",
                f"There were uncommitted changes on the commit {code.commit[:12]} (digest {code.diff_digest[:19]}), "
                "and they were not kept",
                "It cannot be made again. Commit before a training, or let the LineageRecorder keep the changes "
                "(docs/reproduce.md).",
            )
        )
    if recipe is not None and not here.has_module:
        found.append(
            Problem(
                "code",
                f"The commit {code.commit[:12]} has no module {recipe.module}",
                "The pipeline was not part of that repository: give the clone that holds it with --repository FOLDER.",
            )
        )
    return found


def _environment(recorded: Recorded, here: Here) -> list[Problem]:
    environment, found = recorded.environment, []
    if environment.unusable:
        found.append(
            Problem(
                "packages",
                f"What was recorded as {listed(environment.unusable, _MOST)} is no package",
                "The record was altered: see `pedigree audit verify`. No environment is built from it.",
            )
        )
    if here.interpreter is None:
        found.append(
            Problem(
                "python",
                f"There is no Python {environment.minor or environment.python} here",
                f"Install it, so that python{environment.minor or ''} is on the PATH.",
            )
        )
    if lost := _told(here, environment.packages, Availability.MISSING):
        found.append(
            Problem(
                "packages",
                f"No index has {listed(lost, _MOST)}",
                "Give pip an index that has them: PIP_EXTRA_INDEX_URL=ADDRESS.",
            )
        )
    return found


def _told(here: Here, packages: Mapping[str, str], said: Availability) -> list[str]:
    return sorted(f"{name} {packages[name]}" for name, one in here.availability.items() if one is said)


def _data(recorded: Recorded, here: Here) -> list[Problem]:
    span = f"span {recorded.span}" if recorded.span is not None else "the data"
    return [
        Problem(
            "data",
            f"{path} of {span} {'is gone' if state is FileState.GONE else 'is not what it was then'}",
            "Bring it back as it was, or say where the data are: --set NAME=PATH, the setting of the pipeline.",
        )
        for path, state in sorted(here.files.items())
        if state in (FileState.GONE, FileState.CHANGED)
    ]


def _bytes(here: Here) -> list[Problem]:
    return [
        Problem(
            "bytes",
            f"The store does not have the files of {name}",
            "Bring them back: register the model again, or import it from an export.",
        )
        for name in here.missing_bytes
    ]


def _unknown(recorded: Recorded, here: Here, place: Place) -> list[str]:
    found = []
    recipe = recorded.recipe
    if recipe is not None and not recipe.files:
        found.append("Which files the span had was not recorded; its rows are compared once they were read.")
    elif recipe is not None and recipe.others:
        found.append(f"{plural(recipe.others, 'more file')} of the span were not recorded by name.")
    sized = sum(state is FileState.SAME_SIZE for state in here.files.values())
    if sized:
        found.append(f"Of {plural(sized, 'file')} only the size was compared: there is too much to read now.")
    if place is Place.BUILT:
        unasked = [name for name, one in here.availability.items() if one is Availability.UNKNOWN]
        if unasked:
            found.append(
                f"Whether {plural(len(unasked), 'package')} can still be had is not known: no index answered in time "
                f"({listed(sorted(unasked), _MOST)})."
            )
    return found


def _notes(recorded: Recorded, here: Here, place: Place) -> list[str]:
    environment, found = recorded.environment, []
    if place is Place.BUILT:
        differing = differing_packages(recorded, here.packages)
        # What was there then says more than what has come since.
        changed = sorted(differing.items(), key=lambda one: one[1][0] is None)
        told = [f"{name} {then or 'none'} then, {now or 'none'} here" for name, (then, now) in changed]
        if _minor(here.python) != environment.minor:
            told.insert(0, f"Python {environment.python} then, {here.python} here")
        found.append(f"An environment is built, since this one is another: {listed(told, 4)}.")
        if yanked := _told(here, environment.packages, Availability.YANKED):
            found.append(f"Taken back by who published it, and installed all the same: {listed(yanked, _MOST)}.")
    elif not environment.packages:
        found.append("Which packages it was made with was not recorded in full: the environment here is used.")
    else:
        found.append("The environment here is used: it has the recorded packages.")
    own = environment.packages.get(OWN_PACKAGE)
    if own is not None and own != here.packages.get(OWN_PACKAGE):
        found.append(f"{OWN_PACKAGE} was {own} then; the one that runs this command is used.")
    if environment.python and environment.python != here.python and _minor(here.python) == environment.minor:
        found.append(f"Python was {environment.python} then and is {here.python} here.")
    if recorded.baseline is None and recorded.evidence is not None and recorded.evidence.champion is not None:
        found.append("The champion that it was compared with is not in the registry any more: the gate sees none.")
    return found
