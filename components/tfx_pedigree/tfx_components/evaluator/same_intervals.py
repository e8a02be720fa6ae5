"""TFMA's confidence intervals as a function of the rows: the same rows give the same intervals, on any runner.

TFMA's jackknife throws every example into one of 20 parts by chance, so that a second run on the same rows can come to
another verdict, and whoever runs often enough gets a PASS. Here the part follows from a hash of the example's content,
and of its place among its copies where the same content is there more than once: if a few kinds of rows make up the
data, parts by content alone, or copies dealt out evenly, would be no sample of them.

TFMA has no parameter for this. While its graph is built, three names in its modules mean something else: what prepares
an example also notes its number, what fans out the slices numbers copies first, and the partition goes by the number.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import struct
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from types import ModuleType
from typing import Any, BinaryIO

import apache_beam as beam
import numpy as np
from tensorflow_model_analysis import constants
from tensorflow_model_analysis.evaluators import jackknife
from tensorflow_model_analysis.evaluators import metrics_plots_and_validations_evaluator as evaluation
from tensorflow_model_analysis.slicer import slicer_lib

from tfx_pedigree.tfx_components.versioner.fingerprint import records, steady

NUMBER = "_pedigree_number"
Extracts = dict[str, Any]


def number_of(record: bytes) -> int:
    """64 bits of an example's content, whatever the order in which its features were written."""
    return int.from_bytes(hashlib.blake2b(steady(record), digest_size=8).digest(), "big")


def copies(names: Iterable[str], open_file: Callable[[str], BinaryIO]) -> frozenset[int]:
    """The numbers of the examples that are there more than once. None of files that are no TFRecords."""
    found: Counter[int] = Counter()
    try:
        for name in names:
            with open_file(name) as raw:
                found.update(number_of(record) for record in records(raw))
    except (ValueError, EOFError, OSError):
        return frozenset()
    return frozenset(number for number, count in found.items() if count > 1)


@contextlib.contextmanager
def same_intervals(repeated: frozenset[int]) -> Iterator[None]:
    """Whatever graph of TFMA is built inside has intervals that are a function of the rows."""
    changed = (
        (evaluation, "_PreprocessorDoFn", _Numbering),
        (evaluation, "slicer", _Instead(slicer_lib, FanoutSlices=lambda: _SpreadAndFanout(repeated))),
        (jackknife, "beam", _Instead(beam, Partition=lambda _, parts: beam.Partition(_part, parts))),
    )
    before = [getattr(module, name) for module, name, _ in changed]
    for module, name, value in changed:
        setattr(module, name, value)
    try:
        yield
    finally:
        for (module, name, _), value in zip(changed, before, strict=True):
            setattr(module, name, value)


class _Instead:
    """A module in which some names mean something else. In a worker it is the module itself."""

    def __init__(self, module: ModuleType, **names: Any) -> None:
        self._module, self._names = module, names

    def __getattr__(self, name: str) -> Any:
        return self._names[name] if name in self._names else getattr(self._module, name)

    def __reduce__(self) -> tuple[Any, ...]:
        return importlib.import_module, (self._module.__name__,)


class _Numbering(evaluation._PreprocessorDoFn):  # type: ignore[misc]
    """Prepares an example, or the examples of one query, and notes the number beside what TFMA makes of it."""

    def process(self, extracts: Extracts) -> Iterator[Extracts]:
        number = _number(extracts)
        for output in super().process(extracts):
            yield {**output, NUMBER: number}


def _number(extracts: Extracts) -> int:
    number = 0
    for record in np.ravel(np.asarray(extracts[constants.INPUT_KEY], dtype=object)):
        number ^= number_of(bytes(record))
    return number


def _part(element: tuple[Any, Extracts], parts: int) -> int:
    return int(element[1][NUMBER] % parts)


@dataclass(frozen=True)
class _IsCopy:
    repeated: frozenset[int]
    wanted: bool

    def __call__(self, extracts: Extracts) -> bool:
        return (extracts[NUMBER] in self.repeated) is self.wanted


class _SpreadAndFanout(beam.PTransform):  # type: ignore[misc]
    def __init__(self, repeated: frozenset[int]) -> None:
        super().__init__()
        self._repeated = repeated

    def expand(self, extracts: Any) -> Any:
        if not self._repeated:
            return extracts | "FanoutSlices" >> slicer_lib.FanoutSlices()
        single = extracts | "Single" >> beam.Filter(_IsCopy(self._repeated, wanted=False))
        spread = (
            extracts
            | "Copies" >> beam.Filter(_IsCopy(self._repeated, wanted=True))
            | "ByNumber" >> beam.Map(_by_number)
            | "OneOfEach" >> beam.CombinePerKey(_OneOfEach())
            | "Spread" >> beam.FlatMap(_spread)
        )
        return (single, spread) | beam.Flatten() | "FanoutSlices" >> slicer_lib.FanoutSlices()


def _by_number(extracts: Extracts) -> tuple[int, Extracts]:
    return extracts[NUMBER], extracts


class _OneOfEach(beam.CombineFn):  # type: ignore[misc]
    """Of examples with the same content one, and how many there are."""

    def create_accumulator(self) -> tuple[int, Extracts | None]:
        return 0, None

    def add_input(self, accumulator: tuple[int, Extracts | None], element: Extracts) -> tuple[int, Extracts | None]:
        return accumulator[0] + 1, accumulator[1] or element

    def merge_accumulators(self, accumulators: Iterable[tuple[int, Extracts | None]]) -> tuple[int, Extracts | None]:
        found = list(accumulators)
        return sum(count for count, _ in found), next((one for _, one in found if one is not None), None)

    def extract_output(self, accumulator: tuple[int, Extracts | None]) -> tuple[int, Extracts | None]:
        return accumulator


def _spread(element: tuple[int, tuple[int, Extracts]]) -> Iterator[Extracts]:
    number, (count, extracts) = element
    for copy in range(count):
        mixed = hashlib.blake2b(struct.pack("<QQ", number, copy), digest_size=8).digest()
        yield {**extracts, NUMBER: int.from_bytes(mixed, "big")}
