"""Frozen dataclasses as plain JSON values: written sparsely, read strictly.

A wrong name or type is a damaged record.
"""

import dataclasses
import functools
import types
import typing
from typing import Any, Literal

from repro.errors import RecordError


@functools.cache
def _hints(cls: Any) -> dict[str, Any]:
    """Most of the time that a record takes to read, were it done for every field again."""
    return typing.get_type_hints(cls)


def sparse(part: Any) -> dict[str, Any]:
    """The fields of a dataclass that are not at their default; `build` gives the rest back.

    Where another class than the default's stands in a field, its `family` tells which.
    """
    defaults = {f.name: _default(f) for f in dataclasses.fields(part)}
    return {
        name: _written(getattr(part, name), default)
        for name, default in defaults.items()
        if getattr(part, name) != default
    }


def _default(f: dataclasses.Field[Any]) -> Any:
    return f.default if f.default_factory is dataclasses.MISSING else f.default_factory()


def _written(value: Any, default: Any = None) -> Any:
    if isinstance(value, tuple):
        return [_written(v) for v in value]
    if not dataclasses.is_dataclass(value):
        return value
    family = None if type(value) is type(default) else getattr(value, "family", None)
    return {**({"family": family} if family else {}), **sparse(value)}


def build(cls: Any, raw: Any, where: str) -> Any:
    """An instance of a dataclass; fields that `raw` lacks take their default. Raises RecordError.

    A field that may be one of several dataclasses is told by its `family`, the first by default;
    or by `cls.as_saved`, which may also leave out what is no longer a field.
    """
    if not isinstance(raw, dict):
        raise RecordError(f"{where}: expected an object, found {type(raw).__name__}")
    raw, told = cls.as_saved(raw, where) if hasattr(cls, "as_saved") else (raw, {})
    known = {f.name: f for f in dataclasses.fields(cls)}
    for name in raw:
        if name not in known:
            raise RecordError(f"{where}.{name}: unknown field; is it from a newer version?")
    for name, f in known.items():
        if name not in raw and f.default is f.default_factory is dataclasses.MISSING:
            raise RecordError(f"{where}.{name}: missing")
    types_of = {**_hints(cls), **told}
    return cls(**{n: _value(types_of[n], v, f"{where}.{n}") for n, v in raw.items()})


def read(cls: Any, name: str, raw: dict[str, Any], where: str) -> Any:
    """One field as `build` reads it."""
    return _value(_hints(cls)[name], raw[name], f"{where}.{name}")


def _value(kind: Any, value: Any, where: str) -> Any:
    origin, args = typing.get_origin(kind), typing.get_args(kind)
    if dataclasses.is_dataclass(kind):
        return build(kind, value, where)
    if origin in (typing.Union, types.UnionType):
        return _one_of(args, value, where)
    if origin is tuple and isinstance(value, list | tuple):
        return tuple(_value(args[0], v, where) for v in value)
    if origin is dict and isinstance(value, dict):
        return {n: _value(args[1], v, f"{where}.{n}") for n, v in value.items()}
    if kind is float and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if type(value) is kind or (origin is Literal and value in args):
        return value
    raise RecordError(f"{where}: {value!r} is not a valid {getattr(kind, '__name__', kind)}")


def _one_of(kinds: tuple[Any, ...], value: Any, where: str) -> Any:
    if value is None and type(None) in kinds:
        return None
    candidates = [k for k in kinds if k is not type(None)]
    family = value.get("family") if isinstance(value, dict) else None
    named = [k for k in candidates if family in _families(k)]
    return _value((named or candidates)[0], value, where)


def _families(kind: Any) -> tuple[Any, ...]:
    hints = _hints(kind) if isinstance(kind, type) and dataclasses.is_dataclass(kind) else {}
    return typing.get_args(hints.get("family"))
