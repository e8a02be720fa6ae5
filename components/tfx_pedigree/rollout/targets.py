"""The section `serving:` of a config file: where models are served, and what moves the traffic there.

    serving:
      flights-eu:                  # a name of one's own, for messages and for `--target`
        model: flight-delay
        kind: haproxy              # what moves the traffic; each kind takes settings of its own
        map: /etc/haproxy/pedigree.map
        responses: /var/log/models/responses.jsonl  # what both versions answered, for a plan that judges that
        requests: /srv/recorded    # a folder of recorded requests, for a plan that validates with one of its files

${NAME} is the environment's NAME, ${here} this file's folder. The section may stand in the file that also says where
the registry is (`pedigree.toml`), or in any other that `--config` names.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tfx_pedigree.comparison.config_reader import ConfigNode, from_data
from tfx_pedigree.errors import InvalidInputError, NotFoundError
from tfx_pedigree.pipeline_config import filled, section_of
from tfx_pedigree.text import did_you_mean, listed

SECTION = "serving"
_COMMON = ("model", "kind")
_PATHS = ("responses", "requests")


@dataclass(frozen=True)
class ServingTarget:
    """`settings` are those of its kind, not yet read: the kind's own module does that. `responses` is the response log
    of what serves and `requests` a folder of recorded requests, both as the controller sees them."""

    name: str
    model: str
    kind: str
    file: Path
    settings: ConfigNode = field(repr=False)
    responses: Path | None = None
    requests: Path | None = None

    @property
    def serves_as(self) -> str:
        """The model's name at its servers."""
        own = self.settings.table().get("serves_as")
        return own.text() if own is not None else self.model

    @property
    def has(self) -> tuple[str, ...]:
        """Which of them it names."""
        return tuple(key for key in _PATHS if getattr(self, key) is not None)


def load_targets(file: Path, environ: Mapping[str, str]) -> dict[str, ServingTarget]:
    """By name; empty where the file has no such section."""
    file = file.absolute()
    section = section_of(file, SECTION)
    if section is None:
        return {}
    values = filled(file, dict(section), environ)
    return {name: _target(file, name, node) for name, node in from_data(values, str(file)).table().items()}


def find_target(file: Path | None, environ: Mapping[str, str], *, model: str, name: str | None) -> ServingTarget:
    """The one that was named, or the only one of this model."""
    if file is None:
        raise NotFoundError(
            f"No config says where {model} is served. Name a file that has a section `{SECTION}:` with --config."
        )
    targets = load_targets(file, environ)
    mine = {one.name: one for one in targets.values() if one.model == model}
    if name is not None:
        if name in mine:
            return mine[name]
        if name in targets:
            raise InvalidInputError(f"{file}: the target {name} serves {targets[name].model}, not {model}.")
        raise NotFoundError(f"{file} has no target {name!r}. {did_you_mean(name, list(targets))}".rstrip())
    if len(mine) > 1:
        raise InvalidInputError(f"{file}: {model} is served by {listed(mine)}. Name one of them with --target.")
    if not mine:
        raise NotFoundError(
            f"{file} does not say where {model} is served: no target under `{SECTION}:` has this model."
        )
    return next(iter(mine.values()))


def _target(file: Path, name: str, node: ConfigNode) -> ServingTarget:
    table = node.table()
    for key in _COMMON:
        if key not in table:
            raise node.wrong(f"lacks `{key}`.")
    rest = ConfigNode(
        {key: one for key, one in table.items() if key not in (*_COMMON, *_PATHS)},
        f"{SECTION}.{name}",
        node.source,
        node.line,
    )
    paths = {key: _absolute(table[key]) for key in _PATHS if key in table}
    return ServingTarget(name, table["model"].text(), table["kind"].text(), file, rest, **paths)


def _absolute(node: ConfigNode) -> Path:
    path = Path(node.text())
    if not path.is_absolute():
        raise node.must_be("an absolute path; ${here} is the config's folder")
    return path
