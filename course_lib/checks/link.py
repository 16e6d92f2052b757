"""One end of the line between a check and a student's code; the same class serves both ends.

The *clean* end runs the checks and never runs student code; the other end runs the student's. A call is
strictly synchronous: a request goes out, and while it waits, requests of the other side (call-backs) are
served. Tensors cross as copies; gradients with respect to tensor arguments cross as vector-Jacobian
products, to any order. Here the two ends are joined in one process (`pair`), so a student's own notebook
obeys exactly the rules that hold when the checks run in a process of their own.
"""

from __future__ import annotations

import traceback

import torch
from torch import Tensor

from .codec import Parcel, Share, Tampered, decode, encode
from .frames import pack, unpack
from .remote import Proxy, RemoteFunction, StudentError, student_error

MAX_NESTING = 16  # call-backs within call-backs
MAX_OBJECTS = 20_000  # live handles
_SURPRISES = (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)


class Link:
    """One end: what it lends out by number, and how requests are sent and served."""

    def __init__(self, *, clean: bool, names: dict | None = None):
        self.clean, self.names = clean, names or {}
        self.objects, self.numbers, self.dropped = {}, {}, []
        self.sent = self.nesting = self.last_number = 0
        self.other: Link | None = None
        self.broken = ""
        self.last_error: BaseException | None = None

    # -- objects that stay here and are known by number at the other end -----------------------------------

    def keep(self, obj) -> int:
        number = self.numbers.get(id(obj))
        if number is None:
            if len(self.objects) >= MAX_OBJECTS:
                raise RuntimeError("too many live objects")
            self.last_number = number = self.last_number + 1
            self.numbers[id(obj)], self.objects[number] = number, [obj, 0]
        self.objects[number][1] += 1  # one count for each time it was sent; each comes back once
        return number

    def drop(self, number) -> None:
        if (entry := self.objects.get(number)) is not None:
            entry[1] -= 1
            if entry[1] <= 0:
                del self.objects[number], self.numbers[id(entry[0])]

    def own(self, number):
        if type(number) is not int or number not in self.objects:
            raise Tampered("unknown handle")
        return self.objects[number][0]

    def remote(self, number: int, name: str) -> Proxy:
        return Proxy(self, number, name)

    def owns_remote(self, value) -> bool:
        return isinstance(value, Proxy) and value._handle.link is self

    def remote_id(self, value: Proxy) -> int:
        return value._handle.number

    # -- asking --------------------------------------------------------------------------------------------

    def exchange(self, message: bytes) -> bytes:
        """Send one message and return the answer. A two-process link overrides only this."""
        return self.other.serve(message)

    def request(self, op: str, args: list, prior=()):
        """The answer of the other end to `op`; raises `StudentError` or `Tampered`."""
        if self.broken:
            raise Tampered(self.broken)
        self.sent += 1
        number, parcel, grad = self.sent, Parcel(), torch.is_grad_enabled()
        header = {"op": op, "n": number, "grad": grad, "v": encode(args, parcel, self)}
        message = self._pack(header, parcel.tensors, grad)
        inputs = [*prior, *(t for t in parcel.tensors if grad and t.requires_grad)]
        header, tensors = self._unpack(self.exchange(message))
        try:
            return self._answer(header, tensors, number, inputs, parcel.generators)
        except StudentError:
            raise
        except _SURPRISES as e:
            raise Tampered(f"{type(e).__name__}: {str(e)[:100]}") from None

    def _answer(self, header, tensors, number, inputs, generators):
        if header.get("n") != number:
            self.broken = "an answer to another question"
            raise Tampered(self.broken)
        if "err" in header:
            kind, message, trace = (str(text)[:6000] for text in header["err"])
            raise student_error(kind, message, trace, self.other and self.other.last_error)
        for generator, index in zip(generators, header.get("gen", ()), strict=False):
            generator.set_state(tensors[index])  # the other side advanced it
        tensors = [t.detach() for t in tensors]
        if inputs and header.get("rec"):
            outputs = [tensors[i] for i in header["diff"]]
            attached = RemoteFunction.apply(self, int(header["rec"]), outputs, *inputs)
            for index, tensor in zip(header["diff"], attached, strict=True):
                tensors[index] = tensor
        value = decode(header["v"], Parcel(tensors), self)
        if header.get("changed"):
            raise student_error(
                "ArgumentChanged",
                "your function changes an argument in place: write x = x + ... instead of x += ...",
            )
        return value

    def _pack(self, header: dict, tensors: list[Tensor], grad: bool = False) -> bytes:
        if self.dropped:
            header["x"], self.dropped = self.dropped, []
        return pack(header, tensors, grad)

    def _unpack(self, message: bytes) -> tuple[dict, list[Tensor]]:
        header, tensors = unpack(message)
        for number in header.get("x", ()):
            self.drop(number)
        return header, tensors

    # -- serving -------------------------------------------------------------------------------------------

    def serve(self, message: bytes) -> bytes:
        """Do what one message asks for; errors become part of the answer."""
        header, tensors = self._unpack(message)
        number, was_enabled = header.get("n"), torch.is_grad_enabled()
        self.last_error, self.nesting = None, self.nesting + 1
        try:
            if self.nesting > MAX_NESTING:
                raise RecursionError("call-backs are nested too deeply")
            torch.set_grad_enabled(bool(header.get("grad", True)))
            return self._reply(header, tensors, number)
        except (KeyboardInterrupt, SystemExit, Tampered) as e:
            if self.clean:
                raise
            return self._error(number, e)
        except Exception as e:
            return self._error(number, e)
        finally:
            self.nesting -= 1
            torch.set_grad_enabled(was_enabled)

    def _error(self, number, error: BaseException) -> bytes:
        self.last_error = error
        trace = "" if self.clean else "".join(traceback.format_exception(error)[-12:])[-4000:]
        kind, text = type(error).__name__, str(error)
        if isinstance(error, StudentError):  # it came from the other end: its name is told once
            kind, text = error.kind, error.text
        return self._pack({"n": number, "err": [kind, text[:2000], trace], "v": None}, [])

    def _reply(self, header: dict, tensors: list[Tensor], number) -> bytes:
        arrived = Parcel(tensors)
        args = decode(header["v"], arrived, self)
        versions = [t._version for t in tensors]
        value, inputs = self._do(header["op"], args, [t for t in tensors if t.requires_grad])
        reply, parcel = {"n": number}, Parcel()
        reply["v"] = encode(value, parcel, self)
        if not self.clean and any(t._version != v for t, v in zip(tensors, versions, strict=True)):
            reply["changed"] = 1
        differentiable = [i for i, t in enumerate(parcel.tensors) if t.requires_grad]
        if inputs and torch.is_grad_enabled() and differentiable:
            reply["diff"] = differentiable
            reply["rec"] = self.keep((inputs, [parcel.tensors[i] for i in differentiable]))
        states = [g.get_state() for g in arrived.generators]
        reply["gen"] = list(range(len(parcel.tensors), len(parcel.tensors) + len(states)))
        return self._pack(reply, parcel.tensors + states)

    def _do(self, op: str, args: list, leaves: list[Tensor]):
        """(result, tensors with respect to which it may be differentiated)."""
        if op == "vjp":
            inputs, outputs = self.own(args[0])
            grads = torch.autograd.grad(
                outputs, inputs, args[1], allow_unused=True, retain_graph=True, create_graph=bool(args[2])
            )
            return list(grads), [*inputs, *leaves]
        if op == "call":
            return self.own(args[0])(*args[1], **args[2]), leaves
        if op == "attr":
            obj = self.own(args[0])
            if self.clean and not (isinstance(obj, Share) and args[1] in obj._names):
                raise AttributeError(f"'{args[1]}' is not shared with this exercise")
            return getattr(obj, args[1]), leaves
        if self.clean:  # a student may call what was handed over, and no more
            raise Tampered(f"op {str(op)[:20]}")
        if op == "name":
            if args[0] not in self.names:
                raise NameError(f"name '{args[0]}' is not defined")
            return self.names[args[0]], leaves
        if op == "lend":
            return args[0], leaves
        if op == "item":
            return self.own(args[0])[args[1]], leaves
        if op == "len":
            return len(self.own(args[0])), leaves
        if op == "list":
            return list(self.own(args[0])), leaves
        raise Tampered("op")


def pair(names: dict | None = None) -> tuple[Link, Link]:
    """(clean end, student's end), joined in one process; `names` is what the student's side defines."""
    clean, student = Link(clean=True), Link(clean=False, names=names)
    clean.other, student.other = student, clean
    return clean, student
