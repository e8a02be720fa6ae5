"""The JSON form of every record: written from a dataclass, and read back with each field checked.

`to_json(record)` and `read(Record, data, "the evidence")` need nothing of a record but its annotations. A class whose
form departs from the plain one says how with a class variable `JSON = Layout(…)`. A value whose form is no object (a
slice, a role) has methods `to_json` and `from_json` of its own. What is read is hostile until it has passed: a field
that is missing, unknown, of another type or beyond its bounds is refused with its name and place.
"""

from __future__ import annotations

from tfx_pedigree.json_form.layout import MEASURED_WORDS, Bounds, Count, Layout, Measured
from tfx_pedigree.json_form.reading import JsonForm, read
from tfx_pedigree.json_form.scalars import LARGEST_INTEGER, Place
from tfx_pedigree.json_form.writing import to_json

__all__ = [
    "LARGEST_INTEGER",
    "MEASURED_WORDS",
    "Bounds",
    "Count",
    "JsonForm",
    "Layout",
    "Measured",
    "Place",
    "read",
    "to_json",
]
