"""How an object, an exception and a gradient of the other end look at this one."""

from __future__ import annotations

import torch
from torch import Tensor

from .codec import Tampered


class StudentError(Exception):
    """An exception raised by the student's code: its type's name, its own text, its traceback as text."""

    kind, text, trace = "Exception", "", ""


# `except ValueError` keeps its meaning in a check. StopIteration is not among them: it would silently end
# a check's own `for out in map(f, xs)`.
_KINDS = (NotImplementedError, ValueError, TypeError, RuntimeError, ArithmeticError, ZeroDivisionError)
_KINDS += (OverflowError, LookupError, KeyError, IndexError, AttributeError, NameError, RecursionError)
_KINDS += (MemoryError, FileNotFoundError)
_ERRORS = {kind.__name__: type("StudentError", (StudentError, kind), {}) for kind in _KINDS}


def student_error(
    kind: str, message: str, trace: str = "", cause: BaseException | None = None
) -> StudentError:
    """The local exception that stands for one raised at the other end."""
    error = _ERRORS.get(kind, StudentError)(f"{kind}: {message}" if message else kind)
    error.kind, error.text, error.trace, error.__cause__ = kind, message, trace, cause
    return error


class Handle:
    """Keeps one object of the other end alive; when it goes, the id is given back with the next message."""

    def __init__(self, link, number: int):
        self.link, self.number = link, number

    def __del__(self):
        self.link.dropped.append(self.number)


class Proxy:
    """Stands for an object that lives at the other end.

    It fails closed: it has no truth value, no equality and no private names, so that an object cannot
    pretend to be True, or equal to what a check expects.
    """

    def __init__(self, link, number: int, name: str):
        self.__dict__.update(_handle=Handle(link, number), _name=name)

    def _ask(self, op, *args):
        return self._handle.link.request(op, [self._handle.number, *args])

    def __call__(self, *args, **kwargs):
        return self._ask("call", list(args), kwargs)

    def __getattr__(self, name):
        if name.startswith("_"):
            raise AttributeError(f"{name} of a remote object")
        return self._ask("attr", name)

    def __getitem__(self, index):
        return self._ask("item", index)

    def __len__(self):
        return self._ask("len")

    def __iter__(self):
        return iter(self._ask("list"))

    def __repr__(self):
        return f"<remote {self._name}>"

    def _no_value(self, *args):
        raise TypeError(f"{self!r} has no value here: a number or a tensor was expected")

    __bool__ = __eq__ = __ne__ = __lt__ = __le__ = __gt__ = __ge__ = __setattr__ = _no_value
    __hash__ = object.__hash__

    def __reduce__(self):
        raise TypeError("a remote object cannot be pickled")


class RemoteFunction(torch.autograd.Function):
    """Autograd through the line: the backward pass is a vector-Jacobian product asked from the other end."""

    @staticmethod
    def forward(ctx, link, record, outputs, *inputs):
        ctx.handle, ctx.link = Handle(link, record), link
        ctx.save_for_backward(*inputs)
        return tuple(outputs)

    @staticmethod
    def backward(ctx, *grads):
        inputs = ctx.saved_tensors
        args = [ctx.handle.number, list(grads), torch.is_grad_enabled()]
        products = ctx.link.request("vjp", args, prior=inputs)
        if not isinstance(products, list) or len(products) != len(inputs):
            raise Tampered("vjp")
        for product, x in zip(products, inputs, strict=True):
            if product is not None and (not isinstance(product, Tensor) or product.shape != x.shape):
                raise student_error("RuntimeError", "a gradient of the wrong shape")
        return (None, None, None, *products)
