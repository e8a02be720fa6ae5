"""Reading records and what holds other values. A reader is made from an annotation, once."""

from __future__ import annotations

import dataclasses
import functools
import re
import types
from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import MISSING
from enum import Enum
from typing import Annotated, Any, ClassVar, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from tfx_pedigree.errors import InvalidInputError
from tfx_pedigree.json_form.layout import PLAIN, Bounds, Layout, MeasuredMark, layout_of
from tfx_pedigree.json_form.scalars import NAMES, SIMPLE, Place, Reader, read_measured, within
from tfx_pedigree.json_form.writing import record_writer, to_json
from tfx_pedigree.text import listed, plain

T = TypeVar("T")

MOST_ITEMS = 1_000_000


def read(kind: type[T], data: object, what: str) -> T:
    """A `kind` out of parsed JSON. `what` names the whole in a refusal: "the comparison", "row 3 of the archive"."""
    result: T = reader(cast("Any", kind))(data, Place(what))
    return result


@functools.cache
def reader(kind: Any) -> Reader:
    """The function that reads a `kind`; made once for each."""
    if kind in SIMPLE:
        return SIMPLE[kind]
    origin, arguments = get_origin(kind), get_args(kind)
    for bases, make in _GENERIC:
        if origin in bases:
            return make(arguments)
    if origin is not None and dataclasses.is_dataclass(origin):
        return _record(cast("type", origin), dict(zip(cast("Any", origin).__parameters__, arguments, strict=True)))
    own = getattr(kind, "from_json", None)
    if own is not None and getattr(own, "__func__", None) is not JsonForm.from_json.__func__:  # type: ignore[attr-defined]
        return _own_reader(own)
    if isinstance(kind, type) and issubclass(kind, Enum):
        return _one_of({to_json(member): member for member in kind})
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        return _record_of(kind)
    raise TypeError(f"{kind!r} has no JSON form")


def _own_reader(own: Callable[[Any], Any]) -> Reader:
    def read_own(value: Any, place: Place) -> Any:
        try:
            return own(value)
        except InvalidInputError as error:
            raise place.problem(f"cannot be read: {error}") from error

    return read_own


@functools.cache
def _record_of(kind: type) -> Reader:
    return _record(kind, {})


def _record(kind: type, parameters: Mapping[Any, Any]) -> Reader:
    layout, hints = layout_of(kind), get_type_hints(kind, include_extras=True)
    fields = [field for field in dataclasses.fields(kind) if field.init]
    names = {layout.names.get(field.name, field.name): field for field in fields if field.name not in layout.flat}
    readers = {field.name: reader(_bound(hints[field.name], parameters)) for field in fields}
    required = {
        key for key, field in names.items() if (layout.whole and key not in layout.lacking) or _is_required(field)
    }
    inner = {name: _keys(_bound(hints[name], parameters)) for name in layout.flat}
    extra = {*layout.also, *(["format"] if layout.format is not None else [])}
    known = {*names, *extra, *(key for keys in inner.values() for key in keys)}

    def read_record(value: Any, place: Place) -> Any:
        table = _object(value, place)
        if layout.format is not None and table.get("format") != layout.format:
            raise _another_format(table.get("format"), layout.format, place.at("format"))
        _check_keys(table, known, required, place)
        found = {
            field.name: readers[field.name](table[key], place.at(key)) for key, field in names.items() if key in table
        }
        for name, keys in inner.items():
            found[name] = readers[name]({key: table[key] for key in keys if key in table}, place)
        try:
            record = kind(**found)
        except InvalidInputError as error:
            raise place.problem(f"cannot be read: {error}") from error
        for name in layout.also:
            if name in table and not _same(table[name], to_json(getattr(record, name))):
                raise place.at(name).problem("does not agree with the rest of it.")
        return record

    return read_record


def _another_format(found: Any, ours: str, place: Place) -> InvalidInputError:
    if isinstance(found, str) and found.partition("/")[0] == ours.partition("/")[0]:
        return place.problem(f"is {plain(found, 60)!r}, but this release reads {ours!r}. Upgrade tfx-pedigree.")
    return place.refusal(found, f"{ours!r}")


def _same(told: Any, computed: Any) -> bool:
    """Python takes 0 for false."""
    return bool(told == computed) and isinstance(told, bool) is isinstance(computed, bool)


def _keys(kind: Any) -> tuple[str, ...]:
    return tuple(layout_of(kind).names.get(field.name, field.name) for field in dataclasses.fields(kind) if field.init)


def _is_required(field: dataclasses.Field[Any]) -> bool:
    return field.default is MISSING and field.default_factory is MISSING


def _bound(kind: Any, parameters: Mapping[Any, Any]) -> Any:
    """The annotation with the parameters of a generic record filled in."""
    if not parameters:
        return kind
    if kind in parameters:
        return parameters[kind]
    held = getattr(kind, "__parameters__", ())
    return kind[tuple(parameters.get(one, one) for one in held)] if held else kind


def _spoken(name: str) -> str:
    """`model description` for ModelDescription."""
    return re.sub("(?<=[a-z])(?=[A-Z])", " ", name).lower()


def _object(value: Any, place: Place) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise place.refusal(value, "an object")
    return value


def _check_keys(table: Mapping[str, Any], known: AbstractSet[str], required: AbstractSet[str], place: Place) -> None:
    if table.keys() == known:
        return
    unknown = [key for key in table if key not in known]
    missing = sorted(required - set(table))
    if unknown:
        raise place.problem(f"has the unknown {_fields(sorted(map(str, unknown)))}.")
    if missing:
        raise place.problem(f"lacks the {_fields(missing)}.")


def _fields(names: Sequence[str]) -> str:
    return f"field{'s' if len(names) > 1 else ''} {listed([f'`{plain(name)}`' for name in names], 3)}"


def _tuple(arguments: tuple[Any, ...]) -> Reader:
    if len(arguments) == 2 and arguments[1] is Ellipsis:
        return _items(tuple, arguments)
    return _fixed([reader(kind) for kind in arguments])


def _items(make: Callable[[Iterable[Any]], Any], arguments: tuple[Any, ...]) -> Reader:
    item = reader(arguments[0])

    def read_items(value: Any, place: Place) -> Any:
        if not isinstance(value, list | tuple):
            raise place.refusal(value, "a list")
        if len(value) > MOST_ITEMS:
            raise place.problem(f"has {len(value)} items; {MOST_ITEMS} are read at the most.")
        return make(item(one, place.at(index)) for index, one in enumerate(value))

    return read_items


def _fixed(readers: Sequence[Reader]) -> Reader:
    def read_fixed(value: Any, place: Place) -> Any:
        if not isinstance(value, list | tuple) or len(value) != len(readers):
            raise place.refusal(value, f"a list of {len(readers)}")
        return tuple(one(item, place.at(index)) for index, (one, item) in enumerate(zip(readers, value, strict=True)))

    return read_fixed


def _table(arguments: tuple[Any, ...]) -> Reader:
    key, item = reader(arguments[0]), reader(arguments[1])

    def read_table(value: Any, place: Place) -> Any:
        table = _object(value, place)
        if len(table) > MOST_ITEMS:
            raise place.problem(f"has {len(table)} entries; {MOST_ITEMS} are read at the most.")
        return {key(name, place): item(one, place.at(str(name))) for name, one in table.items()}

    return read_table


def _union(arguments: tuple[Any, ...]) -> Reader:
    kinds = [kind for kind in arguments if kind is not type(None)]
    optional = len(kinds) < len(arguments)
    if len(kinds) == 1:
        one = reader(kinds[0])
        return lambda value, place: None if value is None else one(value, place)
    readers = [reader(kind) for kind in kinds]

    def read_union(value: Any, place: Place) -> Any:
        if optional and value is None:
            return None
        for candidate in readers:
            try:
                return candidate(value, place)
            except InvalidInputError:
                continue
        if isinstance(value, str) and str in kinds:
            SIMPLE[str](value, place)  # says what is wrong with this text
        raise place.refusal(value, listed([_name(kind) for kind in arguments]).replace(" and ", " or "))

    return read_union


def _name(kind: Any) -> str:
    return NAMES.get(kind, getattr(kind, "__name__", str(kind)))


def _literal(arguments: tuple[Any, ...]) -> Reader:
    return _one_of(dict(zip(arguments, arguments, strict=True)))


def _one_of(values: Mapping[Any, Any]) -> Reader:
    wanted = "one of " + ", ".join(map(str, values))

    def read_one(value: Any, place: Place) -> Any:
        if isinstance(value, str | int) and not isinstance(value, bool) and value in values:
            return values[value]
        raise place.refusal(value, wanted)

    return read_one


def _annotated(arguments: tuple[Any, ...]) -> Reader:
    kind, *marks = arguments
    if any(isinstance(mark, MeasuredMark) for mark in marks):
        return read_measured
    bounds = next((mark for mark in marks if isinstance(mark, Bounds)), None)
    inner = reader(kind)
    return inner if bounds is None else within(inner, bounds)


_GENERIC: tuple[tuple[tuple[Any, ...], Callable[[tuple[Any, ...]], Reader]], ...] = (
    ((Annotated,), _annotated),
    ((Union, types.UnionType), _union),
    ((Literal,), _literal),
    ((tuple,), _tuple),
    ((list, Sequence, Iterable), functools.partial(_items, tuple)),
    ((frozenset, set, AbstractSet), functools.partial(_items, frozenset)),
    ((dict, Mapping), _table),
)


class JsonForm:
    """Gives a record its form as methods, and a look in notebooks."""

    JSON: ClassVar[Layout] = PLAIN

    def to_json(self) -> dict[str, Any]:
        """The record's JSON form, which `from_json` reads."""
        return record_writer(cast("Any", type(self)))(self)

    @classmethod
    def from_json(cls: type[T], data: object, what: str = "") -> T:
        """Refuses whatever `to_json` would not have written. `what` is named in the refusal: "the evidence"."""
        record: T = _record_of(cast("Any", cls))(data, Place(what or f"the {_spoken(cls.__name__)}"))
        return record

    def _repr_html_(self) -> str:
        """What a notebook shows of it."""
        from tfx_pedigree.notebook import html_of  # noqa: PLC0415  nothing but notebooks asks for this

        return html_of(self)
