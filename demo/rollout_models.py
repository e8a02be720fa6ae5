"""Three models of flight delays for the demonstration of rollouts, trained in seconds on one month of real flights.

    steady    knows every carrier; looks at the hour, the distance and the delay at departure
    narrow    was trained and judged on some carriers only: better on them, and without an answer for any other
    better    knows every carrier, and looks at the weather as well

All have the same interface: one flight, or many, with its columns by name.
"""

from __future__ import annotations

import csv
import json
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import tensorflow as tf

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from pipelines.flight_delay.columns import LABEL
from pipelines.flight_delay.data import write_spans

MONTH, ROWS = 1, 6000
NUMBERS = {
    "departure_minute": (720.0, 300.0),
    "distance": (1000.0, 700.0),
    "departure_delay": (10.0, 30.0),
    "wind_speed": (10.0, 5.0),
    "visibility": (9.0, 2.0),
}


@dataclass(frozen=True)
class Recipe:
    name: str
    looks_at: tuple[str, ...]
    leaves_out: int = 0  # so many of the smaller carriers were not in its flights
    steps: int = 120


PLAIN = ("departure_minute", "distance", "departure_delay")
RECIPES = (
    Recipe("steady", PLAIN),
    Recipe("narrow", PLAIN, leaves_out=8),
    Recipe("better", tuple(NUMBERS), steps=180),
)


class FlightModel(tf.Module):
    """Logistic, with a weight for each carrier."""

    def __init__(self, carriers: list[str], looks_at: tuple[str, ...]) -> None:
        super().__init__()
        self.looks_at = looks_at
        keys, places = tf.constant(carriers), tf.range(len(carriers), dtype=tf.int64)
        # -1 for a carrier that is not among them: nothing has a weight at that place.
        self.table = tf.lookup.StaticHashTable(tf.lookup.KeyValueTensorInitializer(keys, places), -1)
        self.of_carrier = tf.Variable(tf.zeros([len(carriers)]))
        self.of_numbers = tf.Variable(tf.zeros([len(looks_at)]))
        self.bias = tf.Variable(0.0)

    def logits(self, carrier: tf.Tensor, numbers: dict[str, tf.Tensor]) -> tf.Tensor:
        usual = [(numbers[name] - NUMBERS[name][0]) / NUMBERS[name][1] for name in self.looks_at]
        found = tf.gather(self.of_carrier, self.table.lookup(carrier))
        return found + tf.linalg.matvec(tf.stack(usual, 1), self.of_numbers) + self.bias

    def serving(self) -> object:
        shape = [None]
        signature = [tf.TensorSpec(shape, tf.string, "carrier")]
        signature += [tf.TensorSpec(shape, tf.float32, name) for name in NUMBERS]

        @tf.function(input_signature=signature)
        def predict(carrier: tf.Tensor, *numbers: tf.Tensor) -> dict[str, tf.Tensor]:
            return {"late": tf.sigmoid(self.logits(carrier, dict(zip(NUMBERS, numbers, strict=True))))}

        return predict


def read_flights(folder: Path) -> list[dict[str, str]]:
    [span] = write_spans(folder, [MONTH], ROWS)
    with (span.folder / "train/flights.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def train(recipe: Recipe, flights: list[dict[str, str]]) -> FlightModel:
    counted = [name for name, _ in Counter(flight["carrier"] for flight in flights).most_common()]
    carriers = sorted(counted[: len(counted) - recipe.leaves_out])
    mine = [flight for flight in flights if flight["carrier"] in carriers]
    model = FlightModel(carriers, recipe.looks_at)
    carrier = tf.constant([flight["carrier"] for flight in mine])
    numbers = {name: tf.constant([number(flight, name) for flight in mine]) for name in NUMBERS}
    late = tf.constant([float(flight[LABEL]) for flight in mine])
    for _ in range(recipe.steps):
        with tf.GradientTape() as tape:
            logits = model.logits(carrier, numbers)
            loss = tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(late, logits))
        for variable, slope in zip(
            model.trainable_variables, tape.gradient(loss, model.trainable_variables), strict=True
        ):
            variable.assign_sub(2.0 * tf.convert_to_tensor(slope))
    return model


def number(flight: dict[str, str], name: str) -> float:
    return float(flight[name] or NUMBERS[name][0])


def main(folder: Path) -> None:
    flights = read_flights(folder / "data")
    for recipe in RECIPES:
        model = train(recipe, flights)
        tf.saved_model.save(model, str(folder / recipe.name), signatures={"serving_default": model.serving()})
    # What clients will ask: one flight for each request.
    with (folder / "requests.jsonl").open("w", encoding="utf-8") as file:
        for flight in flights[:2000]:
            one = {"carrier": flight["carrier"], **{name: number(flight, name) for name in NUMBERS}}
            file.write(json.dumps({"instances": [one]}) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
