"""TFMA's confidence intervals as a function of the rows: the same rows give the same intervals, on any runner.

TFMA's jackknife throws every example into one of 20 parts by chance, so that a second run on the same rows can come to
another verdict, and whoever runs often enough gets a PASS. Here the part follows from a hash of the example's content,
and of its place among its copies where the same content is there more than once: if a few kinds of rows make up the
data, parts by content alone, or copies dealt out evenly, would be no sample of them.

TFMA has no parameter for this. While its graph is built, three names in its modules mean something else: what prepares
an example also notes its number, what fans out the slices numbers copies first, and the jackknife goes by the number.
It adds up the 20 parts beside each other in one pass. TFMA's graph has a branch for each part, and in each of these one
for each other part, which costs more than all else up to a hundred thousand rows. Only metrics across slices need it.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import itertools
import struct
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from types import ModuleType
from typing import Any, BinaryIO

import apache_beam as beam
import numpy as np
from tensorflow_model_analysis import constants
from tensorflow_model_analysis.evaluators import confidence_intervals_util, jackknife
from tensorflow_model_analysis.evaluators import metrics_plots_and_validations_evaluator as evaluation
from tensorflow_model_analysis.slicer import slicer_lib

from tfx_pedigree.tfx_components.versioner.fingerprint import records, steady

NUMBER = "_pedigree_number"
ALL = jackknife._FULL_SAMPLE_ID
Extracts = dict[str, Any]


def number_of(record: bytes) -> int:
    """64 bits of an example's content, whatever the order in which its features were written."""
    return int.from_bytes(hashlib.blake2b(steady(record), digest_size=8).digest(), "big")


def copies(names: Iterable[str], open_file: Callable[[str], BinaryIO]) -> frozenset[int]:
    """The numbers of the examples that are there more than once. None of files that are no TFRecords."""
    try:
        numbers = np.sort(np.fromiter(_numbers(names, open_file), dtype=np.uint64))
    except (ValueError, EOFError, OSError):
        return frozenset()
    return frozenset(numbers[1:][numbers[1:] == numbers[:-1]].tolist())


def _numbers(names: Iterable[str], open_file: Callable[[str], BinaryIO]) -> Iterator[int]:
    for name in names:
        with open_file(name) as raw:
            for record in records(raw):
                yield number_of(record)


@contextlib.contextmanager
def same_intervals(repeated: frozenset[int], *, across_slices: bool = False) -> Iterator[None]:
    """Whatever graph of TFMA is built inside has intervals that are a function of the rows."""
    in_one_pass = (evaluation, "jackknife", _Instead(jackknife, ComputeWithConfidenceIntervals=_Jackknife))
    in_branches = (jackknife, "beam", _Instead(beam, Partition=lambda _, parts: beam.Partition(_part, parts)))
    changed = (
        (evaluation, "_PreprocessorDoFn", _Numbering),
        (evaluation, "slicer", _Instead(slicer_lib, FanoutSlices=lambda: _SpreadAndFanout(repeated))),
        in_branches if across_slices else in_one_pass,
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


class _Jackknife(beam.PTransform):  # type: ignore[misc]
    """In the place of TFMA's `ComputeWithConfidenceIntervals`, with the same result for the same parts."""

    def __init__(
        self,
        computations_combine_fn: beam.CombineFn,
        derived_metrics_ptransform: beam.PTransform,
        num_jackknife_samples: int,
        skip_ci_metric_keys: set[Any] | None = None,
        random_seed_for_testing: int | None = None,
    ) -> None:
        super().__init__()
        self._samples = _Samples(computations_combine_fn, num_jackknife_samples)
        self._derived = derived_metrics_ptransform
        self._intervals = jackknife._JackknifeSampleCombineFn(num_jackknife_samples, skip_ci_metric_keys)

    def expand(self, sliced: Any) -> Any:
        return (
            sliced
            | "AddUpParts" >> beam.CombinePerKey(self._samples)
            | "EachSample" >> beam.FlatMap(_each_sample)
            | "Derived" >> self._derived
            | "OfOneSlice" >> beam.MapTuple(_of_one_slice)
            | "Intervals" >> beam.CombinePerKey(self._intervals)
        )


class _Samples(beam.CombineFn):  # type: ignore[misc]
    """The metrics of all examples, and for each part those of all examples but its own."""

    def __init__(self, combiner: beam.CombineFn, parts: int) -> None:
        super().__init__()
        self._combiner, self.parts = combiner, parts

    def setup(self, *args: Any, **kwargs: Any) -> None:
        self._combiner.setup(*args, **kwargs)

    def teardown(self, *args: Any, **kwargs: Any) -> None:
        self._combiner.teardown(*args, **kwargs)

    def create_accumulator(self) -> dict[int, Any]:
        return {}

    def add_input(self, added: dict[int, Any], extracts: Extracts) -> dict[int, Any]:
        part = extracts[NUMBER] % self.parts
        before = added[part] if part in added else self._combiner.create_accumulator()
        added[part] = self._combiner.add_input(before, extracts)
        return added

    def merge_accumulators(self, accumulators: Iterable[dict[int, Any]]) -> dict[int, Any]:
        found: dict[int, list[Any]] = {}
        for added in accumulators:
            for part, one in added.items():
                found.setdefault(part, []).append(one)
        return {part: self._merged(*every) for part, every in found.items()}

    def compact(self, added: dict[int, Any]) -> dict[int, Any]:
        return {part: self._combiner.compact(one) for part, one in added.items()}

    def extract_output(self, added: dict[int, Any]) -> dict[int, Any]:
        """By sample. A part that no example is in leaves out nothing; nothing is left without a part that holds all."""
        parts = [[added[part]] if part in added else [] for part in range(self.parts)]
        nothing: list[Any] = []
        before = list(itertools.accumulate(parts, self._joined, initial=nothing))
        after = list(itertools.accumulate(reversed(parts), self._joined, initial=nothing))
        rest = {part: self._joined(before[part], after[self.parts - 1 - part]) for part in range(self.parts)}
        return {
            sample: self._combiner.extract_output(*found)
            for sample, found in {ALL: before[-1], **rest}.items()
            if found
        }

    def _joined(self, one: list[Any], other: list[Any]) -> list[Any]:
        return [self._merged(*one, *other)] if one or other else []

    def _merged(self, *accumulators: Any) -> Any:
        return self._combiner.merge_accumulators([self._combiner.create_accumulator(), *accumulators])


def _each_sample(element: tuple[Any, dict[int, Any]]) -> Iterator[tuple[tuple[Any, int], Any]]:
    slice_key, samples = element
    for sample, metrics in samples.items():
        yield (slice_key, sample), metrics


def _of_one_slice(key: tuple[Any, int], metrics: dict[Any, Any]) -> tuple[Any, Any]:
    """What TFMA keeps to itself has served, and needs no interval: tables of 10,000 thresholds, for one."""
    slice_key, sample = key
    shown = {one: value for one, value in metrics.items() if sample == ALL or not evaluation._is_private_metrics(one)}
    return slice_key, confidence_intervals_util.SampleMetrics(metrics=shown, sample_id=sample)


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
