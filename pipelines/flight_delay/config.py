"""The settings of one run of the reference pipeline, and how a config file gives them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from pipelines.flight_delay.columns import LABEL, VARIANTS, feature_config

from tfx_pedigree.errors import InvalidInputError


@dataclass(frozen=True)
class Training:
    """The hyperparameters: each is part of what Pedigree compares between two versions."""

    epochs: int = 6
    batch_size: int = 128
    learning_rate: float = 0.002
    hidden_units: tuple[int, ...] = (32,)
    # More than a month has flights: shuffling is complete, not by neighbourhoods of the file.
    shuffle_rows: int = 40_000
    seed: int = 13

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "hidden_units": list(self.hidden_units)}


@dataclass(frozen=True)
class FlightDelayConfig:
    """`span` None takes the newest there is. `metadata` None leaves the connection to the runner. `rows` is the largest
    sample of a month's flights that `prepare` writes; None takes all. `code` is where this checkout lies in the image
    of a service's containers; empty, its modules and the schema are copied under the root when the pipeline is built.
    """

    root: str
    data: str
    name: str = "flight-delay"
    serving: str = ""
    metadata: str | None = None
    span: int | None = None
    rows: int | None = None
    features: str = "schedule"
    training: Training = field(default_factory=Training)
    beam_args: tuple[str, ...] = ()
    cache: bool = True
    with_pedigree: bool = True
    pedigree: Mapping[str, Any] = field(default_factory=dict)
    code: str = ""

    def __post_init__(self) -> None:
        if self.features not in VARIANTS:
            raise InvalidInputError(
                f"The flight-delay pipeline has no features {self.features!r}. It has {', '.join(VARIANTS)}."
            )

    @property
    def serving_folder(self) -> str:
        return self.serving or f"{self.root.rstrip('/')}/serving"

    def transform_config(self) -> dict[str, Any]:
        return {"features": feature_config(self.features)}

    def trainer_config(self) -> dict[str, Any]:
        return {
            "variant": self.features,
            "features": feature_config(self.features),
            "label": LABEL,
            **self.training.to_json(),
        }

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> FlightDelayConfig:
        """From a config file's section. An unknown key is more likely a typo than a wish."""
        given = dict(values)
        training = given.pop("training", None) or {}
        _known(cls, given, "")
        _known(Training, training, "training.")
        missing = [name for name in ("root", "data") if not given.get(name)]
        if missing:
            raise InvalidInputError(f"The flight-delay pipeline needs `{missing[0]}`: give it in the config file.")
        if "hidden_units" in training:
            training = {**training, "hidden_units": tuple(training["hidden_units"])}
        given["beam_args"] = tuple(given.get("beam_args") or ())
        return cls(**given, training=Training(**training))


def local(folder: Path, **settings: Any) -> FlightDelayConfig:
    """All of a run under one folder of this machine: data, artifacts, metadata and what is served."""
    return FlightDelayConfig(
        **{
            "root": str(folder / "artifacts"),
            "data": str(folder / "data"),
            "serving": str(folder / "serving"),
            "metadata": str(folder / "metadata.sqlite"),
            **settings,
        }
    )


def _known(owner: type, given: Mapping[str, Any], prefix: str) -> None:
    names = {one.name for one in fields(owner)}  # type: ignore[arg-type]
    for key in given:
        if key not in names:
            known = ", ".join(sorted(names))
            raise InvalidInputError(f"The flight-delay pipeline has no setting `{prefix}{key}`. It has {known}.")
