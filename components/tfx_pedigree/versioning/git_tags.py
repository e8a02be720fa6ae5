"""Versions and promotions as annotated git tags in GTO's convention, for those who keep their history in git.

Every version gets a commit of its own on the branch `pedigree`, which shares nothing with the branches that people
work on: neither their index nor their files nor HEAD are touched. The commit adds the version's pointer file, and
`flight-delay@v1.2.0` is a tag on it. A promotion is a tag `flight-delay#production#3` on the same commit. All of it
can be done again after a crash: what is there already is found by its content. Nothing is ever pushed.
"""

from __future__ import annotations

import contextlib
import fcntl
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tfx_pedigree.errors import ConflictError, InvalidInputError, NotFoundError
from tfx_pedigree.versioning._git import GitError, check_repository, git, line
from tfx_pedigree.versioning.git_names import (
    EVENT,
    Stamp,
    VersionPointer,
    deprecated_tag,
    stage_tag,
    tag_name,
    withdrawn_tag,
)

BRANCH = "pedigree"
_COUNTED = re.compile(r"#(?P<stage>[^#!]+)(?P<ended>!?)#(?P<counter>[0-9]+)")
_FIELDS = "%(refname:strip=2)%00%(*objectname)%00%(taggerdate:unix)%00%(contents)%00%1e"


class Tag(NamedTuple):
    """An annotated tag of one model: its name, the commit it is on, its second, and its event if it has one."""

    name: str
    commit: str
    when: int
    event: str

    @property
    def counter(self) -> int:
        counted = self._counted()
        return int(counted["counter"]) if counted else 0

    def is_of_stage(self, stage: str) -> bool:
        counted = self._counted()
        return counted is not None and counted["stage"] == stage

    @property
    def ends(self) -> bool:
        counted = self._counted()
        return counted is not None and counted["ended"] == "!"

    def _counted(self) -> re.Match[str] | None:
        return _COUNTED.fullmatch(self.name[self.name.find("#") :]) if "#" in self.name else None


class GitTags:
    """The history of versions in one git repository.

    Processes on one machine wait for each other (a lock that the system lets go of when a process dies); against
    all others, branch and tag change in one transaction of git, or not at all.
    """

    def __init__(self, repository: str | Path, branch: str = BRANCH) -> None:
        self._root = check_repository(Path(repository))
        self._branch = f"refs/heads/{branch}"
        if line(self._root, "check-ref-format", "--branch", branch) is None:
            raise InvalidInputError(f"{branch!r} cannot name a git branch. Choose another name, such as {BRANCH}.")

    def register(self, pointer: VersionPointer, stamp: Stamp) -> str:
        """Commits the pointer file, tags the commit, and returns the tag's name. The same version again is no-op."""
        name = tag_name(pointer.model, pointer.version)
        with self._lock():
            if self._object(f"refs/tags/{name}") is not None:
                self._check_same(name, f"refs/tags/{name}", pointer)
                return name
            when = self._moment(pointer.model, stamp)
            tip = self._tip(pointer)
            commit = tip and self._left_by_a_crash(tip, pointer)
            title = f"{pointer.model} {pointer.version}"
            message = stamp.message(title, *(f"- {reason}" for reason in pointer.reasons))
            changes = []
            if commit is None:
                commit = self._commit(pointer, tip, message, stamp, when)
                changes.append(f"update {self._branch} {commit} {tip}" if tip else f"create {self._branch} {commit}")
            changes.append(f"create refs/tags/{name} {self._tag_object(name, commit, message, stamp, when)}")
            self._change(name, changes)
        return name

    def assign(self, model: str, version: str, stage: str, stamp: Stamp) -> str:
        """Says that a version is in a stage from now on: `flight-delay#production#3`.

        Doing the same event again is no-op. Without an event, so is assigning what the stage holds already.
        """
        return self._move(model, version, stage, stamp, ended=False)

    def unassign(self, model: str, version: str, stage: str, stamp: Stamp) -> str:
        """Says that a version has left a stage: `flight-delay#production!#4`.

        To GTO, a version that another one has followed in a stage is still assigned to it, and comes back when
        the other one leaves. Where nothing is to be left, use `vacate`.
        """
        return self._move(model, version, stage, stamp, ended=True)

    def vacate(self, model: str, stage: str, stamp: Stamp) -> tuple[str, ...]:
        """Says that no version is in a stage any more: the one that was, and all that it had followed, leave it."""
        stage_tag(model, stage, 1)
        written = []
        with self._lock():
            tags = self.tags(model)
            here = [tag for tag in tags if tag.is_of_stage(stage)]
            done = [tag for tag in here if stamp.event and tag.ends and tag.event == stamp.event]
            before = min((tag.counter for tag in done), default=None)
            last = {tag.commit: tag for tag in here if before is None or tag.counter < before}
            left = {tag.commit for tag in done}
            counter = max((tag.counter for tag in tags), default=0)
            when = self._moment(model, stamp, tags)
            for index, tag in enumerate(one for one in last.values() if not one.ends and one.commit not in left):
                name = stage_tag(model, stage, counter + 1 + index, ended=True)
                self._write_tag(name, tag.commit, f"{model} leaves {stage}", stamp, when + index)
                written.append(name)
        return tuple(written)

    def withdraw(self, model: str, version: str, stamp: Stamp) -> str:
        """Says that a version is registered no more: `flight-delay@v1.2.0!`. Its commit and its tag stay."""
        name = withdrawn_tag(model, version)
        return self._once(name, model, self._version_commit(model, version), f"{model} {version} withdrawn", stamp)

    def deprecate(self, model: str, stamp: Stamp) -> str:
        """Says that a whole model is out of use: `flight-delay@deprecated`."""
        name = deprecated_tag(model)
        versions = [tag for tag in self.tags(model) if "@v" in tag.name]
        if not versions:
            raise NotFoundError(f"{model} has no version in this git repository, so it cannot be deprecated there.")
        return self._once(name, model, versions[-1].commit, f"{model} deprecated", stamp)

    def tags(self, model: str) -> list[Tag]:
        """All annotated tags of a model in the order in which they were made."""
        tag_name(model, "1.0.0")
        listed = git(self._root, "for-each-ref", f"--format={_FIELDS}", f"refs/tags/{model}@*", f"refs/tags/{model}#*")
        found = []
        for record in listed.decode(errors="replace").split("\x1e"):
            parts = record.lstrip("\n").split("\0")
            if len(parts) >= 4 and parts[1]:  # a lightweight tag has no object of its own
                last = parts[3].rstrip("\n").rpartition("\n")[2]
                event = last.removeprefix(EVENT) if last.startswith(EVENT) else ""
                found.append(Tag(parts[0], parts[1], int(parts[2] or 0), event))
        return sorted(found, key=lambda tag: (tag.when, tag.counter))

    def versions(self, model: str) -> tuple[str, ...]:
        """The versions of a model that have a tag, in the order in which they got it."""
        return tuple(number for number, _ in self._registered(self.tags(model)))

    def assigned(self, model: str, stage: str) -> tuple[str, ...]:
        """The versions that are in a stage, the one that GTO shows last."""
        return tuple(self.assignments(model, stage))

    def assignments(self, model: str, stage: str) -> dict[str, Tag]:
        """The versions that are in a stage, the one that GTO shows last, each with the tag that says so."""
        tags = self.tags(model)
        last: dict[str, Tag] = {}
        for tag in tags:
            if tag.is_of_stage(stage):
                last.pop(tag.commit, None)
                last[tag.commit] = tag
        numbers = {commit: number for number, commit in self._registered(tags)}
        return {numbers[tag.commit]: tag for tag in last.values() if not tag.ends and tag.commit in numbers}

    def pointer(self, model: str, version: str) -> VersionPointer:
        """The pointer file of a version, read from the commit that its tag is on."""
        return self._pointer_at(self._version_commit(model, version), model, version)

    @staticmethod
    def _registered(tags: list[Tag]) -> Iterator[tuple[str, str]]:
        """Each version's number, and the commit that its tag is on."""
        for tag in tags:
            _, at, number = tag.name.partition("@v")
            if at and not number.endswith("!"):
                yield number, tag.commit

    def _move(self, model: str, version: str, stage: str, stamp: Stamp, *, ended: bool) -> str:
        stage_tag(model, stage, 1)
        with self._lock():
            commit = self._version_commit(model, version)
            tags = self.tags(model)
            here = [tag for tag in tags if tag.is_of_stage(stage)]
            if stamp.event:
                done = [tag for tag in here if tag.event == stamp.event and tag.ends == ended]
            else:
                done = [tag for tag in here[-1:] if tag.commit == commit and tag.ends == ended]
            if done:
                return done[-1].name
            name = stage_tag(model, stage, 1 + max((tag.counter for tag in tags), default=0), ended=ended)
            title = f"{model} {version} {'leaves' if ended else 'in'} {stage}"
            self._write_tag(name, commit, title, stamp, self._moment(model, stamp, tags))
        return name

    def _once(self, name: str, model: str, commit: str, title: str, stamp: Stamp) -> str:
        with self._lock():
            if self._object(f"refs/tags/{name}") is None:
                self._write_tag(name, commit, title, stamp, self._moment(model, stamp))
        return name

    def _write_tag(self, name: str, commit: str, title: str, stamp: Stamp, when: int) -> None:
        tag = self._tag_object(name, commit, stamp.message(title), stamp, when)
        self._change(name, [f"create refs/tags/{name} {tag}"])

    def _moment(self, model: str, stamp: Stamp, tags: list[Tag] | None = None) -> int:
        """The second to write. GTO orders a model's events by their seconds, so no two may share one."""
        last = (self.tags(model) if tags is None else tags)[-1:]
        return (
            max(int(stamp.when.timestamp()), *(tag.when + 1 for tag in last)) if last else int(stamp.when.timestamp())
        )

    def _version_commit(self, model: str, version: str) -> str:
        name = tag_name(model, version)
        commit = self._object(f"refs/tags/{name}^{{commit}}")
        if commit is None:
            raise NotFoundError(f"{model} {version} has no git tag {name}. Register the version in git first.")
        return commit

    def _object(self, name: str) -> str | None:
        return line(self._root, "rev-parse", "--verify", "--quiet", name)

    def _check_same(self, name: str, commit: str, pointer: VersionPointer) -> None:
        found = self._pointer_at(commit, pointer.model, pointer.version)
        if found.identity != pointer.identity:
            raise ConflictError(
                f"The git tag {name} exists already and points to {found.digest} (sequence {found.sequence}), but "
                f"{pointer.model} {pointer.version} is {pointer.digest} (sequence {pointer.sequence}). A version is "
                "never moved: find out which of the two is meant, and delete the tag by hand if it is the wrong one."
            )

    def _pointer_at(self, commit: str, model: str, version: str) -> VersionPointer:
        path = f".pedigree/versions/{model}/{version}.json"
        try:
            return VersionPointer.from_bytes(git(self._root, "cat-file", "blob", f"{commit}^{{commit}}:{path}"))
        except (GitError, InvalidInputError) as error:
            raise ConflictError(
                f"The git tag {tag_name(model, version)} is on a commit without a readable {path}, so it was not made "
                "by Pedigree. Delete or rename that tag, if it is not wanted."
            ) from error

    def _tip(self, pointer: VersionPointer) -> str | None:
        """Where the branch is now. Refuses one that people work on, or that holds something else."""
        short = self._branch.removeprefix("refs/heads/")
        tip = self._object(f"{self._branch}^{{commit}}")
        checked_out = git(self._root, "worktree", "list", "--porcelain").decode(errors="replace").splitlines()
        if f"branch {self._branch}" in checked_out:
            raise ConflictError(
                f"{pointer.model} {pointer.version} cannot be committed to the branch {short}: it is checked out. "
                "Switch that working tree to another branch."
            )
        if tip is not None and self._object(f"{tip}:.pedigree/versions") is None:
            raise ConflictError(
                f"The branch {short} holds no versions of Pedigree but something else. Rename it, or name another "
                "branch for the versions."
            )
        return tip

    def _left_by_a_crash(self, tip: str, pointer: VersionPointer) -> str | None:
        """The commit that added the pointer file, if a run before this one got as far as that and no further."""
        if self._object(f"{tip}:{pointer.path}") is None:
            return None
        self._check_same(tag_name(pointer.model, pointer.version), tip, pointer)
        return line(self._root, "log", "-1", "--format=%H", "--diff-filter=A", tip, "--", pointer.path)

    def _commit(self, pointer: VersionPointer, tip: str | None, message: str, stamp: Stamp, when: int) -> str:
        """A commit object with one file more than `tip`, built in an index of its own."""
        blob = self._ask("hash-object", "-w", "--stdin", stdin=pointer.to_bytes())
        with tempfile.TemporaryDirectory() as folder:
            index = {"GIT_INDEX_FILE": str(Path(folder) / "index")}
            self._ask("read-tree", tip or "--empty", env=index)
            self._ask("update-index", "--add", "--cacheinfo", f"100644,{blob},{pointer.path}", env=index)
            tree = self._ask("write-tree", env=index)
        date = f"@{when} +0000"
        people = {
            f"GIT_{role}_{part}": value
            for role in ("AUTHOR", "COMMITTER")
            for part, value in (("NAME", stamp.actor), ("EMAIL", self._email(stamp)), ("DATE", date))
        }
        parent = ("-p", tip) if tip else ()
        return self._ask("commit-tree", tree, *parent, stdin=message.encode(), env=people)

    def _tag_object(self, name: str, commit: str, message: str, stamp: Stamp, when: int) -> str:
        text = (
            f"object {commit}\ntype commit\ntag {name}\n"
            f"tagger {stamp.actor} <{self._email(stamp)}> {when} +0000\n\n{message}"
        )
        return self._ask("mktag", stdin=text.encode())

    def _email(self, stamp: Stamp) -> str:
        if "@" in stamp.actor and " " not in stamp.actor:
            return stamp.actor
        return line(self._root, "config", "user.email") or "pedigree@localhost"

    def _ask(self, *words: str, stdin: bytes = b"", env: dict[str, str] | None = None) -> str:
        try:
            return git(self._root, *words, stdin=stdin, env=env).decode().strip()
        except GitError as error:
            raise ConflictError(f"git {words[0]} refused in {self._root}: {error}") from error

    def _change(self, name: str, changes: list[str]) -> None:
        try:
            git(self._root, "update-ref", "--stdin", stdin="\n".join(["start", *changes, "commit", ""]).encode())
        except GitError as error:
            raise ConflictError(
                f"The git tag {name} could not be written, and nothing was changed: {error}. Do it again."
            ) from error

    @contextlib.contextmanager
    def _lock(self) -> Iterator[None]:
        common = self._root / self._ask("rev-parse", "--git-common-dir")
        with (common / "pedigree.lock").open("a") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield
