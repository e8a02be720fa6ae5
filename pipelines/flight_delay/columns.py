"""What is known of a flight at the moment it departs, and which of it each variant of the model looks at.

This table is the one place that says so: the data writer takes its columns, both TFX modules get theirs through
`custom_config`, so that they import nothing of this project and can be packed alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

LABEL = "late"
LATE_MINUTES = 15.0
DATE = "date"
SLICES = ("origin", "carrier")


@dataclass(frozen=True)
class Word:
    """A name out of an open set. `places` is fixed, so that a month with more airports changes no variable's shape."""

    name: str
    places: int


@dataclass(frozen=True)
class Step:
    """A whole number that is cut into `places` steps of `width`: the hour of a minute, the day of a week."""

    name: str
    width: int
    places: int


@dataclass(frozen=True)
class Number:
    """A measurement. It is clipped to `low` and `high`, since one flight that is 20 hours late must not weigh as much
    as a thousand; `usual` stands in where it is missing."""

    name: str
    low: float
    high: float
    usual: float


Column = Word | Step | Number

SCHEDULE: tuple[Column, ...] = (
    Word("carrier", 24),
    Word("origin", 8),
    Word("dest", 128),
    Step("day_of_week", 1, 8),
    Step("departure_minute", 60, 24),
    Step("arrival_minute", 60, 24),
    Number("distance", 0.0, 3000.0, 1000.0),
)
# Not the temperature: within a month it says little but the day, and the month after it is another one.
WEATHER: tuple[Column, ...] = (
    Number("wind_speed", 0.0, 50.0, 10.0),
    Number("precipitation", 0.0, 0.5, 0.0),
    Number("visibility", 0.0, 10.0, 10.0),
    Number("pressure", 980.0, 1045.0, 1017.0),
)
DEPARTURE: tuple[Column, ...] = (Number("departure_delay", -30.0, 180.0, 0.0),)

# From what is known months ahead to what is known when the wheels roll.
VARIANTS: dict[str, tuple[Column, ...]] = {
    "schedule": SCHEDULE,
    "weather": SCHEDULE + WEATHER,
    "departure": SCHEDULE + WEATHER + DEPARTURE,
}
# What the first generation asked for. Callers send it already: whatever came later has a default.
REQUIRED = frozenset(column.name for column in SCHEDULE)


def feature_config(variant: str) -> dict[str, Any]:
    """The columns of a variant in the JSON form that the TFX modules get."""
    columns = VARIANTS[variant]
    return {
        "words": {column.name: column.places for column in columns if isinstance(column, Word)},
        "steps": {column.name: [column.width, column.places] for column in columns if isinstance(column, Step)},
        "numbers": {
            column.name: [column.low, column.high, column.usual] for column in columns if isinstance(column, Number)
        },
        "optional": [column.name for column in columns if column.name not in REQUIRED],
    }
