"""The line between a check and a student's code: values, call-backs, gradients, errors, refusals."""

import collections
import struct

import numpy as np
import pytest
import torch

from course_lib.checks import StudentError, Tampered, lend, share
from course_lib.checks.codec import Parcel, decode
from course_lib.checks.frames import pack, unpack
from course_lib.checks.link import Link
from course_lib.checks.oracle import as_students

State = collections.namedtuple("State", "x u")


def as_student(f):
    return as_students(f)[0]


def echo(*args):
    return args[0] if len(args) == 1 else args


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        -3,
        2.5,
        "text",
        1 + 2j,
        ...,
        slice(1, None, 2),
        torch.float64,
        torch.device("cpu"),
        (1, [2, {"a": (3,), 4: None}]),
    ],
)
def test_plain_values_cross_unchanged(value):
    back = as_student(echo)(value)
    assert back == value
    assert type(back) is type(value)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.int64, torch.bool, torch.complex64])
@pytest.mark.parametrize("shape", [(), (0, 3), (5, 2)])
def test_tensors_cross_bit_by_bit(dtype, shape):
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0)).to(dtype)
    back = as_student(echo)(x)
    assert back.dtype == dtype
    assert torch.equal(back, x)


def test_arrays_and_named_tuples_keep_their_kind():
    array, state = as_student(echo)(np.arange(6).reshape(2, 3), State(torch.ones(2), 3))
    assert isinstance(array, np.ndarray)
    assert array.tolist() == [[0, 1, 2], [3, 4, 5]]
    assert state._fields == ("x", "u")
    assert torch.equal(state.x, torch.ones(2))


def test_a_generator_comes_back_advanced():
    def draw(*, generator):
        return torch.randn(4, generator=generator)

    here, there = torch.Generator().manual_seed(1), torch.Generator().manual_seed(1)
    for _ in range(3):
        assert torch.equal(as_student(draw)(generator=there), draw(generator=here))
    assert torch.equal(here.get_state(), there.get_state())


def test_call_backs_see_every_call():
    seen = []

    def target(x):
        seen.append(x.shape)
        return (x**2).sum(-1)

    def student(f, x):
        return f(x) + f(2 * x)

    x = torch.ones(3, 2)
    assert torch.equal(as_student(student)(target, x), torch.full((3,), 10.0))
    assert seen == [(3, 2), (3, 2)]


def test_gradients_cross_both_ways_and_to_second_order():
    x = torch.randn(4, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0), requires_grad=True)
    f = as_student(lambda x: (x.sin() * x).sum(-1))
    assert torch.autograd.gradcheck(f, x)
    assert torch.autograd.gradgradcheck(f, x)

    def score(x, energy):
        return torch.autograd.grad(energy(x).sum(), x, create_graph=True)[0]

    def cubic(x):
        return (x**3).sum(-1)

    y = as_student(score)(x, cubic)
    assert torch.allclose(y, 3 * x**2)
    (second,) = torch.autograd.grad((y**2).sum(), x)
    assert torch.allclose(second, 36 * x**3)


def test_the_students_own_classes_are_stand_ins():
    net = as_student(torch.nn.Linear)(2, 1)
    assert net(torch.ones(3, 2)).shape == (3, 1)
    assert [p.shape for p in net.parameters()] == [(1, 2), (1,)]
    for act in (bool, lambda n: n == 1, lambda n: n < 1, lambda n: setattr(n, "a", 1)):
        with pytest.raises(TypeError, match="has no value here"):
            act(net)
    with pytest.raises(AttributeError, match="remote object"):
        net._parameters  # noqa: B018


def test_arguments_cannot_be_changed_in_place():
    def student(x):
        x += 1
        return x

    x = torch.zeros(3)
    with pytest.raises(StudentError, match="changes an argument in place"):
        as_student(student)(x)
    assert torch.equal(x, torch.zeros(3))


def test_exceptions_keep_their_kind_but_stop_iteration_does_not():
    def fails(error):
        def student():
            raise error

        return as_student(student)

    with pytest.raises(ValueError, match="ValueError: hm") as caught:
        fails(ValueError("hm"))()
    assert isinstance(caught.value, StudentError)
    assert caught.value.kind == "ValueError"
    assert "in student" in caught.value.trace
    with pytest.raises(StudentError, match="StopIteration"):
        list(map(fails(StopIteration()), []))
        fails(StopIteration())()
    with pytest.raises(StudentError, match="SystemExit"):
        fails(SystemExit(0))()


def test_lent_objects_are_copies_and_shared_ones_show_what_is_listed():
    def clip(net):
        for p in net.parameters():
            p.data.clamp_(-0.01, 0.01)

    student, net = as_student(clip), torch.nn.Linear(2, 1)
    before = net.weight.detach().clone()
    copy = lend(net, to=student)
    student(copy)
    assert max(float(p.detach().abs().max()) for p in copy.parameters()) <= 0.01
    assert torch.equal(net.weight, before)

    class Energy:
        dim, secret = 3, 1

        def __call__(self, x):
            return 2 * x

    assert as_student(lambda e: (e.dim, e(2)))(share(Energy(), "dim")) == (3, 4)
    with pytest.raises(AttributeError, match="not shared"):
        as_student(lambda e: e.secret)(share(Energy(), "dim"))
    with pytest.raises(AttributeError):
        as_student(lambda f: f.__globals__)(echo)


def test_what_cannot_cross_says_what_to_do():
    with pytest.raises(TypeError, match="lend"):
        as_student(echo)(torch.nn.Linear(1, 1))
    with pytest.raises(StudentError, match="dense"):
        as_student(lambda: torch.eye(2).to_sparse())()
    with pytest.raises(TypeError, match=r"torch\.func"):
        torch.func.grad(lambda x: as_student(lambda x: x.sum())(x))(torch.ones(2))


def test_endless_recursion_through_call_backs_ends():
    student = as_student(lambda f: f())

    def call_back():
        return student(call_back)

    with pytest.raises(StudentError, match="nested too deeply"):
        call_back()


def longer(message):
    """16 bytes more than the tensors need, with a length that says so."""
    return struct.pack("<I", len(message) + 16) + message[4:] + bytes(16)


def corrupt(message, at, byte):
    return message[:at] + bytes([byte]) + message[at + 1 :]


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"12345678",
        struct.pack("<II", 8, 1 << 30),
        pack({"n": 1}, [torch.ones(3)])[:-1],
        pack({"n": 1}, [torch.ones(3)]) + b"0",
        longer(pack({"n": 1}, [torch.ones(3)])),
        corrupt(pack({"n": 1}, [torch.tensor([True])]), -16, 7),
        pack({"n": 1}, [torch.ones(3)]).replace(b"[3]", b"[9]"),
        pack({"n": 1}, [torch.ones(3)]).replace(b"[3]", b"[-]"),
        pack({"n": 1}, [torch.ones(3)]).replace(b"float32", b"float99"),
    ],
)
def test_broken_messages_are_refused(message):
    with pytest.raises(Tampered):
        unpack(message)


@pytest.mark.parametrize("form", [{}, [], ["?"], ["H", 1], ["H", "1"], ["p", 0], ["n", "a b", ["x"], 1]])
def test_forged_values_are_refused(form):
    with pytest.raises(Tampered):
        decode(form, Parcel([torch.zeros(1)]), Link(clean=True))


def test_an_answer_to_another_question_ends_the_line():
    clean = Link(clean=True)
    clean.exchange = lambda message: pack({"n": 99, "v": True}, [])
    with pytest.raises(Tampered, match="another question"):
        clean.request("name", ["f"])
    clean.exchange = lambda message: pack({"n": 2, "v": True}, [])
    with pytest.raises(Tampered, match="another question"):
        clean.request("name", ["f"])
