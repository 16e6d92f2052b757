"""What may cross between a check and a student's code, and in which form.

A value becomes JSON plus a list of tensors whose bytes travel behind it as they are. Everything that
comes back is checked (`frames`: a shape against its byte count, a dtype against a list), and any surprise is
`Tampered`.
Nothing that a student's side sends is ever unpickled.
"""

from __future__ import annotations

import collections
import functools
import io
import pickle
import types
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

MAX_DEPTH = 12  # nesting of lists, tuples and dicts
MAX_ITEMS = 100_000  # items of one list

_DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.int8, torch.uint8, torch.int16)
_DTYPES += (torch.int32, torch.int64, torch.bool, torch.complex64, torch.complex128)
DTYPE_NAMES = {dtype: str(dtype).removeprefix("torch.") for dtype in _DTYPES}
DTYPES = {name: dtype for dtype, name in DTYPE_NAMES.items()}
_LISTED = (types.GeneratorType, map, filter, zip, range, enumerate, set, frozenset)
_VIEWS = (type({}.keys()), type({}.values()), type({}.items()))
_CALLABLES = (types.FunctionType, types.MethodType, types.BuiltinFunctionType, functools.partial)


class Tampered(BaseException):
    """The other side broke the protocol: the check ends here, without a mark.

    A BaseException, so that no `except Exception` of a check can swallow it.
    """


class Share:
    """A library object of which the student may use the call and the listed names, and nothing else."""

    def __init__(self, obj, names):
        self._obj, self._names = obj, frozenset(names)

    def __call__(self, *args, **kwargs):
        return self._obj(*args, **kwargs)

    def __getattr__(self, name):
        if name.startswith("_") or name not in self._names:
            raise AttributeError(f"'{name}' is not shared with this exercise")
        return getattr(self._obj, name)


class Lend:
    """A library object of which a pickled copy goes to the student's side (never the other way)."""

    def __init__(self, obj):
        self.obj = obj


@dataclass
class Parcel:
    """What travels beside the JSON of one message."""

    tensors: list[Tensor] = field(default_factory=list)
    generators: list[torch.Generator] = field(default_factory=list)

    def add(self, tensor: Tensor) -> int:
        self.tensors.append(tensor)
        return len(self.tensors) - 1


# -- values to JSON ---------------------------------------------------------------------------------------


def encode(value, parcel: Parcel, link, depth: int = 0):
    """JSON form of `value`; its tensors go into `parcel`, live objects stay here as handles."""
    if value is None or type(value) in (bool, float, str):
        return value
    if type(value) is int:
        return value if abs(value) < 1 << 4000 else _refuse(value)
    if depth > MAX_DEPTH:
        raise TypeError(f"nested more than {MAX_DEPTH} levels deep: return plain tensors, numbers or tuples")
    if isinstance(value, Tensor):
        return ["T", parcel.add(_plain_tensor(value))]
    nested = functools.partial(encode, parcel=parcel, link=link, depth=depth + 1)
    for kind, form in _FORMS:
        if isinstance(value, kind):
            return form(value, nested, parcel)
    return _encode_object(value, parcel, link)


def _plain_tensor(value: Tensor) -> Tensor:
    if torch._C._functorch.is_functorch_wrapped_tensor(value):
        raise TypeError(
            "torch.func (vmap, grad, jvp) does not go through this function: batch it, or use torch.autograd"
        )
    if value.layout != torch.strided or value.dtype not in DTYPE_NAMES:
        raise TypeError(f"a {value.layout} tensor of {value.dtype} cannot be used: return a dense one")
    return value


def _encode_tuple(value, nested, parcel):
    if hasattr(value, "_fields"):
        return ["n", type(value).__name__, list(value._fields), *map(nested, value)]
    return ["t", *map(nested, value)]


def _encode_iterator(value, nested, parcel):
    items = ["l"]
    for item in value:
        items.append(nested(item))
        if len(items) > MAX_ITEMS:
            raise TypeError(f"an iterator of more than {MAX_ITEMS} items cannot be used here")
    return items


def _encode_array(value, nested, parcel):
    return ["a", parcel.add(torch.from_numpy(np.ascontiguousarray(value)).reshape(value.shape))]


def _encode_generator(value, nested, parcel):
    parcel.generators.append(value)
    return ["g", parcel.add(value.get_state())]


_FORMS = (  # sub-classes become the plain type; the order matters (bool before int)
    (tuple, _encode_tuple),
    (list, lambda v, nested, _: ["l", *map(nested, v)]),
    (dict, lambda v, nested, _: ["d", *([nested(k), nested(x)] for k, x in v.items())]),
    (_LISTED + _VIEWS, _encode_iterator),
    ((bool, np.bool_), lambda v, *_: bool(v)),
    ((float, np.floating), lambda v, *_: float(v)),
    ((int, np.integer), lambda v, *_: int(v)),
    (str, lambda v, *_: str(v)),
    (np.ndarray, _encode_array),
    (complex, lambda v, *_: ["c", v.real, v.imag]),
    (torch.dtype, lambda v, *_: ["D", DTYPE_NAMES[v]]),
    (torch.device, lambda v, *_: ["V", str(v)]),
    (torch.Generator, _encode_generator),
    (slice, lambda v, nested, _: ["s", nested(v.start), nested(v.stop), nested(v.step)]),
    (type(Ellipsis), lambda v, *_: ["e"]),
)


def _encode_object(value, parcel, link):
    if link.owns_remote(value):
        return ["H", link.remote_id(value)]  # the other side's own object goes home
    if isinstance(value, Lend):
        if not link.clean:
            _refuse(value)
        buffer = io.BytesIO()
        pickle.dump(value.obj, buffer)
        return ["p", parcel.add(torch.frombuffer(bytearray(buffer.getvalue()), dtype=torch.uint8))]
    if link.clean and not isinstance(value, (*_CALLABLES, Share)):
        _refuse(value)
    return ["h", link.keep(value), str(getattr(value, "__name__", type(value).__name__))[:60]]


def _refuse(value):
    raise TypeError(
        f"a {type(value).__name__} cannot cross: pass plain values or a function, "
        "lend(obj, to=f) a copy, or share(obj, 'names')"
    )


# -- JSON to values ---------------------------------------------------------------------------------------


def decode(form, parcel: Parcel, link, depth: int = 0):
    """The inverse of `encode`; raises `Tampered` for anything it does not know."""
    if form is None or type(form) in (bool, int, float, str):
        return form
    if type(form) is not list or not form or depth > MAX_DEPTH + 1 or len(form) > MAX_ITEMS + 4:
        raise Tampered("bad value")
    tag, args = form[0], form[1:]
    nested = functools.partial(decode, parcel=parcel, link=link, depth=depth + 1)
    if tag in _VALUES:
        return _VALUES[tag](args, nested, parcel)
    if tag == "h":
        return link.remote(int(args[0]), str(args[1])[:60])
    if tag == "H":
        return link.own(args[0])
    if tag == "p" and not link.clean:
        return pickle.loads(parcel.tensors[args[0]].numpy().tobytes())
    raise Tampered(f"unknown tag {str(tag)[:20]}")


def _decode_generator(args, nested, parcel):
    generator = torch.Generator()
    generator.set_state(parcel.tensors[args[0]])
    parcel.generators.append(generator)
    return generator


_VALUES = {
    "T": lambda args, nested, parcel: parcel.tensors[args[0]],
    "l": lambda args, nested, parcel: [nested(x) for x in args],
    "t": lambda args, nested, parcel: tuple(nested(x) for x in args),
    "n": lambda args, nested, parcel: _tuple_class(args[0], tuple(args[1]))._make(map(nested, args[2:])),
    "d": lambda args, nested, parcel: {nested(k): nested(x) for k, x in args},
    "a": lambda args, nested, parcel: parcel.tensors[args[0]].numpy(),
    "c": lambda args, nested, parcel: complex(args[0], args[1]),
    "D": lambda args, nested, parcel: DTYPES[args[0]],
    "V": lambda args, nested, parcel: torch.device(args[0]),
    "g": _decode_generator,
    "s": lambda args, nested, parcel: slice(*map(nested, args)),
    "e": lambda args, nested, parcel: Ellipsis,
}


@functools.lru_cache(256)
def _tuple_class(name: str, fields: tuple[str, ...]):
    if len(fields) > 64 or not all(f.isidentifier() and len(f) < 64 for f in (name, *fields)):
        raise Tampered("bad tuple fields")
    return collections.namedtuple(name, fields, rename=True)
