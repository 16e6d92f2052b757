"""The explorer without a browser: every message at the ends of every slider, and what frames are worth."""

from __future__ import annotations

import base64
import html
import itertools
import json
import math
import re

import numpy as np
import pytest
import torch

from course_lib import energies, sampling
from course_lib.sampling import HMC, Langevin, RandomWalk
from course_lib.widgets import LandscapeExplorer, picture
from course_lib.widgets.messages import HANDLERS
from course_lib.widgets.settings import SPEEDS

KERNELS = ("HMC", "Langevin (MALA)", "Langevin (ULA)", "Random walk")


class Screen:
    """An explorer whose answers are kept: what a view would receive."""

    def __init__(self, *args, **more):
        self.explorer = LandscapeExplorer(*args, **more)
        self.heard: list[tuple[dict, list[bytes]]] = []
        self.explorer.send = lambda content, buffers=None: self.heard.append((content, list(buffers or [])))
        self.ids = itertools.count(1)

    def ask(self, kind: str, **fields) -> tuple[dict, list[bytes]]:
        """The one answer to a request."""
        self.heard.clear()
        request = next(self.ids)
        self.explorer._on_msg(self.explorer, {"kind": kind, "id": request, **fields}, [])
        answers = [answer for answer in self.heard if answer[0]["id"] == request]
        assert len(answers) == 1, f"{kind} was answered {len(answers)} times"
        return answers[0]

    def set(self, name: str, value) -> tuple[dict, list[bytes]]:
        return self.ask("set", name=name, value=value)


def unpack(answer: tuple[dict, list[bytes]]) -> dict[str, np.ndarray]:
    """The buffers of an answer as arrays, their sizes checked against its header."""
    header, buffers = answer
    k, n, points = header["k"], header["n"], header["points"]
    shapes = {
        "x": (k, n, 2),
        "ghosts": (sum(header["ghosts"]), 2),
        "path": (k, points, 2),
        "h": (k, points),
        "u": (k, points),
        "facts": (k, 4),
    }
    if header["kind"] == "fly":
        shapes["flight"] = (points, n, 2)
    assert len(buffers) == len(shapes) and len(header["ghosts"]) == k
    json.dumps(header, allow_nan=False)  # a browser's JSON knows no NaN
    named = zip(shapes.items(), buffers, strict=True)
    return {name: np.frombuffer(raw, "f4").reshape(shape) for (name, shape), raw in named}


# ---- every message at the ends of every slider


@pytest.mark.parametrize("n", [1, 2000])
@pytest.mark.parametrize("end", [0, 1], ids=["least", "most"])
@pytest.mark.parametrize("name", KERNELS)
def test_every_message_is_answered_once_at_the_ends_of_the_sliders(name, end, n):
    screen = Screen(n=3, steps=0)
    explorer, limits = screen.explorer, screen.explorer.view["limits"]
    assert limits["n"] == [1, 2000]
    for trait, value in [
        ("n", n),
        ("kernel_name", name),
        ("step_size", limits["step_size"][end]),
        ("path_length", limits["path_length"][end]),
    ]:
        assert screen.set(trait, value)[0]["kind"] in ("state", "idle")  # idle: it was so already
        assert getattr(explorer, trait) == value
    assert explorer.kernel.step_size == limits["step_size"][end]
    points = limits["path_length"][end] + 1 if name == "HMC" else 2
    for kind, fields, moves in [
        ("tick", {"frames": 2, "stride": 1}, 2),
        ("tick", {"frames": 1, "stride": 20}, 20),
        ("step", {}, 1),
        ("fly", {}, 1),
        ("hello", {}, 0),
        ("set", {"name": "followed", "value": n - 1}, 0),
        ("reset", {}, None),
    ]:
        before = explorer._simulation.step
        header, _ = answer = screen.ask(kind, **fields)
        if header["kind"] == "idle":
            assert (kind, n) == ("set", 1)
            continue
        assert (header["n"], header["points"]) == (n, points)
        done = (
            moves if moves is None or kind != "tick" else header["k"] * fields["stride"]
        )  # a slow chunk is cut
        assert header["step"] == (0 if done is None else before + done)
        arrays = unpack(answer)
        if name != "Langevin (ULA)" or end == 0:  # the unadjusted one may run away, on purpose
            assert np.isfinite(arrays["x"]).all()
    assert screen.ask("pause")[0]["kind"] == "idle"


@pytest.mark.parametrize("speed", SPEEDS)
def test_every_speed_can_be_set(speed):
    explorer = LandscapeExplorer(n=1, steps=0, speed=speed)
    assert explorer.speed == speed and explorer.step_count == 0  # nothing runs until a view asks


def test_an_exploding_unadjusted_chain_is_shown_and_reset_heals_it():
    screen = Screen(energies.Banana(1.0), Langevin(1.9, adjust=False), n=50, steps=0)
    for _ in range(10):
        arrays = unpack(screen.ask("tick", frames=16, stride=1))
    lost = int((~np.isfinite(arrays["x"][-1])).any(1).sum())
    assert lost > 0
    screen.ask("pause")
    assert f"({lost} diverged)" in screen.explorer.alt
    assert np.isfinite(unpack(screen.ask("reset"))["x"]).all()


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ("tick", "knows the messages"),
        ({}, "knows the messages hello, tick"),
        ({"kind": "explode"}, "explode"),
        ({"kind": "tick", "frames": "many"}, "number"),
        ({"kind": "tick", "frames": float("nan")}, "number"),
        ({"kind": "tick", "stride": None}, "number"),
        ({"kind": "drop"}, "point"),
        ({"kind": "drop", "at": [float("inf"), 0]}, "finite"),
        ({"kind": "drop", "at": [0.0, 0.0], "count": 0}, "1 to 2000"),
        ({"kind": "set"}, "can be set"),
        ({"kind": "set", "name": "alt", "value": "x"}, "can be set"),
        ({"kind": "set", "name": "step_size", "value": 0}, "positive"),
        ({"kind": "set", "name": "step_size", "value": float("nan")}, "positive"),
        ({"kind": "set", "name": "path_length", "value": 0}, "leapfrog steps"),
        ({"kind": "set", "name": "n", "value": 2001}, "1 to 2000"),
        ({"kind": "set", "name": "seed", "value": -1}, "seed"),
        ({"kind": "set", "name": "start", "value": [0.0, float("nan")]}, "finite"),
        ({"kind": "set", "name": "start", "value": [1.0]}, "shape"),
        ({"kind": "set", "name": "kernel_name", "value": "Gibbs"}, "HMC"),
        ({"kind": "set", "name": "followed", "value": 5}, "particle"),
    ],
)
def test_a_bad_message_changes_nothing_is_shown_and_is_raised(message, words):
    screen = Screen(n=5, steps=3)
    explorer = screen.explorer
    before = (explorer.get_state(), explorer.x.clone())
    with pytest.raises(ValueError, match=words):
        explorer._on_msg(explorer, {**message, "id": "m"} if isinstance(message, dict) else message, [])
    (header, _) = screen.heard[-1]
    assert header["kind"] == "error" and re.search(words, header["message"])
    assert header["id"] == ("m" if isinstance(message, dict) else None)
    assert explorer.get_state() == before[0] and explorer.x.equal(before[1])
    assert screen.ask("tick", frames=1)[0]["step"] == 4  # and it goes on


def walled(x: torch.Tensor) -> torch.Tensor:
    return torch.where(x[:, 0] > 2, torch.inf, x.square().sum(1) / 2)


def test_a_start_where_the_energy_is_not_finite_is_refused_and_nothing_changes():
    screen = Screen(walled, HMC(0.2, 5), n=4, start=(0.0, 0.0), steps=2)
    explorer, x = screen.explorer, screen.explorer.x.clone()
    with pytest.raises(ValueError, match="start where the density is positive"):
        screen.set("start", [3.0, 0.0])
    assert screen.heard[-1][0]["kind"] == "error"
    assert explorer.start == [0.0, 0.0] and explorer.x.equal(x) and explorer.x0[0].tolist() == [0.0, 0.0]
    with pytest.raises(ValueError, match="density is positive"):
        screen.ask("drop", at=[3.0, 0.0])
    assert explorer.x.equal(x)


# ---- the frames are the library's


@pytest.mark.parametrize("kernel", [HMC(0.15, 7), HMC(0.2, 3, jitter=0.5), Langevin(0.2), RandomWalk(0.4)])
def test_frames_are_those_of_run_with_the_same_generator(kernel):
    screen = Screen(energies.ring(), kernel, n=20, start=(4.0, 0.0), seed=3, steps=0)
    energy, explorer = energies.ring(), screen.explorer
    chain = sampling.run(kernel, energy, explorer.x0, 12, generator=torch.Generator().manual_seed(3))
    shown = [unpack(screen.ask("tick", frames=3, stride=1))["x"]]
    shown += [unpack(screen.ask(kind))["x"] for kind in ("step", "hello", "fly", "step")]
    screen.ask("set", name="followed", value=7)
    shown.append(unpack(screen.ask("tick", frames=2, stride=3))["x"])
    expected = chain.x.numpy()[[0, 1, 2, 3, 3, 4, 5, 8, 11]]
    assert np.array_equal(np.concatenate(shown), expected)


@pytest.mark.parametrize("kernel", [HMC(0.25, 9), HMC(0.25, 9, jitter=0.3), Langevin(0.3), RandomWalk(0.5)])
def test_the_path_is_the_one_that_the_step_takes(kernel):
    screen = Screen(energies.Banana(1.0), kernel, n=30, steps=5)
    moved = {True: 0, False: 0}
    for _ in range(12):
        explorer = screen.explorer
        before, state = explorer.x.clone(), explorer._simulation.state
        twin = torch.Generator()
        twin.set_state(explorer._simulation.random.get_state())
        _, info = explorer.kernel.step(energies.Banana(1.0), state, generator=twin)
        answer = screen.ask("fly")
        arrays = unpack(answer)
        flight, x = torch.tensor(arrays["flight"]), torch.tensor(arrays["x"][0])
        assert flight[0].equal(before)
        torch.testing.assert_close(flight[-1], info.proposal, rtol=2e-3, atol=2e-3)
        assert np.array_equal(arrays["path"][0], arrays["flight"][:, 0])
        assert x[info.accepted].equal(info.proposal[info.accepted])
        assert x[~info.accepted].equal(before[~info.accepted])
        assert np.array_equal(arrays["ghosts"], info.proposal[~info.accepted].numpy())
        acceptance, chance, delta_h, accepted = arrays["facts"][0]
        assert acceptance == pytest.approx(info.acceptance.mean().item(), abs=1e-6)
        assert (chance, bool(accepted)) == (info.acceptance[0].item(), bool(info.accepted[0]))
        assert delta_h == pytest.approx(arrays["h"][0, -1] - arrays["h"][0, 0], abs=2e-3)
        u = energies.Banana(1.0)(torch.tensor(arrays["path"][0]))
        torch.testing.assert_close(torch.tensor(arrays["u"][0]), u, rtol=1e-3, atol=1e-3)
        assert (arrays["h"] >= arrays["u"] - 1e-5).all()  # kinetic energy is not negative
        for accepted in (True, False):
            moved[accepted] += int((info.accepted == accepted).sum())
    assert min(moved.values()) > 0  # both kinds were seen


@pytest.mark.parametrize("followed", [0, 7])
def test_with_every_fifth_move_shown_the_path_is_that_of_the_last_one(followed):
    screen = Screen(energies.ring(), HMC(0.45, 7), n=9, steps=0)
    screen.set("followed", followed)
    seen = set()
    for _ in range(8):
        arrays = unpack(screen.ask("tick", frames=2, stride=5))
        for x, path, facts in zip(arrays["x"], arrays["path"], arrays["facts"], strict=True):
            end = -1 if facts[3] else 0  # where it wanted to go, or where it stayed
            np.testing.assert_allclose(path[end], x[followed], rtol=2e-3, atol=2e-3)
            assert np.abs(path[-1] - path[0]).max() > 0.01
            seen.add(end)
    assert seen == {0, -1}


def test_the_preview_is_the_next_move_and_changes_nothing():
    screen = Screen(kernel=HMC(0.5, 8), n=10, steps=4)
    first, again = unpack(screen.ask("hello")), unpack(screen.ask("hello"))
    assert all(np.array_equal(first[name], again[name], equal_nan=True) for name in first)
    assert math.isnan(first["facts"][0, 0])
    done = unpack(screen.ask("step"))
    for name in ("path", "h", "u"):
        assert np.array_equal(first[name], done[name])
    assert np.array_equal(first["facts"][0, 1:], done["facts"][0, 1:])


def test_a_slider_bends_the_proposal_with_the_same_random_numbers():
    screen = Screen(energies.Gaussian([0.0, 0.0]), HMC(0.1, 10), n=5, steps=0)
    short = unpack(screen.ask("hello"))["path"][0]
    longer = unpack(screen.set("path_length", 20))["path"][0]
    np.testing.assert_allclose(longer[:11], short, atol=1e-6)
    assert screen.explorer.kernel.n_leapfrog == 20 and screen.explorer._simulation.step == 0


def test_each_kernel_remembers_its_own_settings():
    screen = Screen(kernel=HMC(0.15, 10), n=2, steps=0)
    screen.set("step_size", 0.3)
    screen.set("kernel_name", "Random walk")
    assert screen.explorer.step_size == 0.15 and isinstance(screen.explorer.kernel, RandomWalk)
    screen.set("step_size", 0.9)
    screen.set("kernel_name", "HMC")
    assert (screen.explorer.step_size, screen.explorer.kernel.step_size) == (0.3, 0.3)


# ---- reset, seed, saved state


def test_reset_gives_the_same_bits_whatever_happened_before():
    screen = Screen(n=40, seed=5, steps=0)

    def record() -> list[bytes]:
        return [raw for _ in range(2) for raw in screen.ask("tick", frames=1, stride=4)[1]]

    first = record()
    screen.ask("drop", at=[0.0, 4.0], count=10)
    screen.ask("fly")
    screen.ask("tick", frames=3)
    header, _ = screen.ask("reset")
    assert (header["kind"], header["fresh"], header["step"], header["n"]) == ("state", True, 0, 40)
    assert record() == first
    screen.set("seed", 6)
    assert record() != first
    screen.set("seed", 5)
    assert record() == first


def test_dropped_particles_join_and_leave_the_others_alone():
    screen = Screen(energies.Banana(1.0), n=1990, steps=2)
    before = screen.explorer.x.clone()
    header, _ = answer = screen.ask("drop", at=[1.0, 2.0], count=20)
    x = torch.tensor(unpack(answer)["x"][0])
    assert header["n"] == 2000 and x[:1990].equal(before)  # as many as fit
    assert (x[1990:] - torch.tensor([1.0, 2.0])).abs().max() < 0.6 and len(x[1990:].unique(dim=0)) == 10
    with pytest.raises(ValueError, match="2000 particles is the most"):
        screen.ask("drop", at=[1.0, 2.0])
    assert screen.ask("tick", frames=1)[0]["n"] == 2000
    assert screen.ask("reset")[0]["n"] == 1990


def test_saved_state_follows_on_pause_and_not_with_every_frame():
    screen = Screen(n=6, steps=0)
    explorer, saved = screen.explorer, screen.explorer.particles
    arrays = unpack(screen.ask("tick", frames=4))
    assert explorer.particles == saved and explorer.step_count == 0
    screen.ask("pause")
    assert explorer.particles == arrays["x"][-1].tobytes()
    assert explorer.step_count == explorer._simulation.step > 0


def test_a_new_view_hears_the_past_and_the_others_do_not_take_it_for_news():
    screen = Screen(n=6, steps=10)
    screen.ask("tick", frames=2)
    screen.ask("hello")
    told, last = screen.heard[:-1], screen.heard[-1][0]
    assert [header["step"] for header, _ in told] == [10, screen.explorer._simulation.step]
    assert all(header["to"] == last["id"] and header["id"] is None for header, _ in told)
    assert "to" not in last and last["kind"] == "state" and last["fresh"] is False
    screen.ask("reset")
    screen.ask("hello")
    assert len(screen.heard) == 1  # a reset forgets the past


def test_python_moves_the_screen_too():
    screen = Screen(n=6, steps=0)
    screen.explorer.step(3)
    assert [header["kind"] for header, _ in screen.heard] == ["frames", "state"]
    assert (screen.heard[0][0]["k"], screen.explorer.step_count) == (3, 3)
    screen.explorer.step_size = 0.4
    assert screen.heard[-1][0]["kind"] == "state" and screen.explorer.kernel.step_size == 0.4
    screen.explorer.reset()
    assert screen.explorer.step_count == 0 and screen.heard[-1][0]["fresh"]
    screen.heard.clear()
    screen.explorer.step(100)
    assert screen.explorer.step_count == 100 and screen.heard[0][0]["k"] == 64


def test_copied_code_makes_the_same_experiment_to_the_bit():
    screen = Screen(n=7, steps=0)
    screen.set("start", [1.234567, -2.5])
    screen.set("step_size", 0.21)
    screen.ask("tick", frames=2, stride=5)
    screen.ask("pause")
    names = {"LandscapeExplorer": LandscapeExplorer, "HMC": HMC, "energy": energies.ring()}
    again = eval(screen.explorer.code, names)
    assert again.x.equal(screen.explorer.x) and again.step_count == screen.explorer.step_count > 0
    assert again.view["box"] == screen.explorer.view["box"] and repr(again) == repr(screen.explorer)
    screen.set("step_size", 0.3)
    assert "begins at the start" in screen.explorer.code and "steps=0" in screen.explorer.code


def test_one_start_per_particle():
    start = torch.tensor([[4.0, 0.0], [-4.0, 0.0], [0.0, 4.0]])
    explorer = LandscapeExplorer(start=start, steps=0)
    assert explorer.n == 3 and explorer.x.equal(start)
    assert "in 3 of 8 valleys" in explorer.alt and "one per particle" in explorer.code
    explorer.n = 7  # the others begin around them
    assert explorer.x[:3].equal(start) and (explorer.x[3:6] - start).abs().max() < 0.6
    explorer.start = [1.0, 1.0]  # as a drag does: now they all begin there
    assert explorer.x[0].tolist() == [1.0, 1.0] and (explorer.x - 1).abs().max() < 0.6


# ---- what is told and drawn


def test_the_default_shows_that_chains_do_not_cross():
    explorer = LandscapeExplorer()
    assert "in 1 of 8 valleys" in explorer.alt
    explorer.step(300)
    assert "in 1 of 8 valleys" in explorer.alt


def test_alt_text_has_the_numbers():
    kernel = HMC(0.3, 6)
    explorer = LandscapeExplorer(energies.Gaussian([1.0, -2.0], [1.0, 4.0]), kernel, n=500, steps=40)
    alt, x = explorer.alt, explorer.x.double()
    numbers = [float(text) for text in re.findall(r"-?\d+\.?\d*", alt.split("lowest near")[1])]
    chain = sampling.run(
        kernel, energies.Gaussian([1.0, -2.0], [1.0, 4.0]), explorer.x0, 40, generator=torch.manual_seed(0)
    )
    expected = [1, -2, 500, 40, 0.3, 6, *x.mean(0).tolist(), *x.std(0, correction=0).tolist()]
    assert numbers == pytest.approx([*expected, chain.acceptance.mean().item()], abs=0.1)
    assert numbers[6:] == pytest.approx([*expected[6:], chain.acceptance.mean().item()], abs=0.006)
    a, b, c, d = explorer.view["box"]
    assert f"x from {a:.3g} to {b:.3g}, y from {c:.3g} to {d:.3g}" in alt
    assert explorer._repr_mimebundle_()[0]["text/plain"] == alt


def test_the_heat_map_and_the_contours_hold_the_energy():
    energy, box, size = energies.Gaussian([0.0, 0.0]), (-3.0, 3.0, -2.0, 2.0), 61
    drawn = picture.background(energy, box, size)
    _, _, u = energies.on_grid(energy, box, size)
    grid = (np.frombuffer(drawn.grid, "<u2").reshape(size, size) / 65535.0) ** 2 * drawn.height + drawn.low
    np.testing.assert_allclose(grid, u.numpy(), atol=1e-3)
    points = np.frombuffer(drawn.contours, "<u2").reshape(-1, 2) / 65535.0 * [6, 4] - [3, 2]
    assert sum(drawn.counts) == len(points) > 100
    sigmas = np.linalg.norm(points, axis=1)  # contours stand at one, two, three standard deviations
    assert np.abs(sigmas[:, None] - [1, 2, 3]).min(1).max() < 0.02
    assert set(np.rint(sigmas)) == {1, 2, 3}
    assert drawn.valleys == [pytest.approx([0, 0], abs=1e-6)]
    funnel = picture.background(energies.Funnel(2), (-40.0, 40.0, -40.0, 40.0))
    assert funnel.high > 1e10 and funnel.height == picture.CEILING and funnel.top <= picture.BRIGHTEST


def test_a_valley_holds_only_what_is_near_it():
    valleys = [[4.0, 0.0], [-4.0, 0.0], [0.0, 9.0]]
    assert picture.reach(valleys) == pytest.approx(4.0)
    points = torch.tensor([[0.0, 4.5], [3.0, 1.0], [4.0, 0.5], [torch.nan, 0.0]])
    assert picture.occupied(points, valleys) == 1
    assert picture.occupied(torch.tensor([[0.0, 4.5]]), valleys[:2]) == 0


def test_repr_is_stable():
    assert repr(LandscapeExplorer(n=3, steps=0)) == (
        "LandscapeExplorer(GaussianMixture, HMC(step_size=0.15, n_leapfrog=10), n=3, seed=0)"
    )
    mala = LandscapeExplorer(walled, Langevin(0.5), start=(0, 0), n=3, steps=0)
    assert repr(mala) == "LandscapeExplorer(walled, Langevin(step_size=0.5), n=3, seed=0)"


# ---- bad input


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"energy": energies.Funnel(3)}, "dim=3"),
        ({"energy": lambda x: x}, "gave \\[3, 2\\]"),
        ({"energy": lambda x: 1.0}, "gave float"),
        ({"energy": lambda x: x @ torch.eye(3)}, "failed"),
        ({"energy": lambda x: x[:, 0] * torch.nan}, "nowhere finite"),
        ({"kernel": 3}, "kernels of course_lib.sampling"),
        ({"kernel": HMC}, "kernels of course_lib.sampling"),
        ({"kernel": HMC(torch.full((5,), 0.1))}, "float step_size"),
        ({"n": 0}, "1 to 2000"),
        ({"n": 2001}, "1 to 2000"),
        ({"n": 2.5}, "1 to 2000"),
        ({"start": (0.0, float("nan"))}, "finite"),
        ({"start": (0.0, 0.0, 0.0)}, "shape"),
        ({"start": (3.0, 0.0), "energy": walled}, "density is positive"),
        ({"box": (1, 0, 0, 1)}, "xmin"),
        ({"seed": -1}, "seed"),
        ({"spread": -0.1}, "spread"),
        ({"steps": -1}, "moves"),
        ({"speed": 0}, "speed"),
        ({"layers": ["heat", "sound"]}, "sound"),
    ],
)
def test_bad_input_says_what_is_wrong(arguments, words):
    with pytest.raises(ValueError, match=words):
        LandscapeExplorer(**arguments)


@pytest.mark.parametrize("value", [0.0, -0.1, float("inf"), float("nan")])
def test_a_step_size_that_is_not_positive_is_refused(value):
    explorer = LandscapeExplorer(n=2, steps=0)
    with pytest.raises(ValueError, match="positive"):
        explorer.step_size = value
    assert explorer.step_size == explorer.kernel.step_size == 0.15
    with pytest.raises(ValueError, match="positive"):
        LandscapeExplorer(kernel=HMC(value))


@pytest.mark.parametrize("which", ["posterior", "bridge"])
def test_a_landscape_without_exact_draws_is_shown_in_the_fallback_box(which):
    def log_likelihood(x):
        return -(x[:, 0] - 1).square() - x[:, 1].square()

    posterior = energies.Posterior(energies.Gaussian([0.0, 0.0]), log_likelihood)
    energy = posterior if which == "posterior" else posterior.bridge().at(0.5)
    with pytest.raises(NotImplementedError):
        energy.sample(1)
    screen = Screen(energy, n=5, steps=3)
    assert screen.explorer.view["box"] == [-4, 4, -4, 4]
    assert screen.explorer.start == pytest.approx([2 / 3 if which == "posterior" else 1 / 2, 0], abs=0.1)
    assert screen.ask("step")[0]["step"] == 4
    assert LandscapeExplorer(energy, box=(0, 2, -1, 1), n=5).view["box"] == [0, 2, -1, 1]
    exact = LandscapeExplorer(energies.Gaussian([9.0, 0.0]), n=5).view["box"]
    assert exact[0] > 4  # where there are exact draws, they choose the box


# ---- the stored replay


def stored(page: str) -> dict:
    return json.loads(re.search(r"const \{ state, parts, buffers \} = (\{.*\});\n", page)[1])


@pytest.mark.parametrize("kernel", [HMC(0.15, 10), HMC(0.05, 50), RandomWalk(0.5)])
def test_a_replay_is_small_needs_nothing_and_holds_the_first_moves(kernel):
    explorer = LandscapeExplorer(kernel=kernel, n=300, steps=25)
    x = explorer.x.clone()
    page = explorer.replay_page(100, particles=50)
    assert explorer.x.equal(x) and explorer.step_count == 25  # the explorer itself stays where it is
    assert 20_000 < len(page.encode()) <= 200_000
    links = set(re.findall(r"https?://[^\"'` )]+", page))
    assert links <= {"http://www.w3.org/2000/svg"}  # a name, never fetched
    assert not re.search(r"\b(import\s*\(|import\s+[\w{*]|fetch\(|src=|XMLHttpRequest|WebSocket)", page)
    data = stored(page)
    header = data["state"]["replay"]
    a, b, c, d = header["quantised"]
    raw = np.frombuffer(base64.b64decode(data["buffers"][0]), "<u2").reshape(header["k"], 50, 2)
    shown = raw / 65535.0 * [b - a, d - c] + [a, c]
    energy, random = energies.ring(), torch.Generator().manual_seed(0)
    expected = sampling.run(
        kernel, energy, LandscapeExplorer(kernel=kernel, n=50, steps=0).x0, header["k"], generator=random
    )
    np.testing.assert_allclose(shown, expected.x.numpy(), atol=(b - a) / 65535)


def test_a_replay_keeps_as_many_moves_as_fit(monkeypatch):
    explorer = LandscapeExplorer(n=2000, steps=0)
    page = explorer.replay_page(400, particles=150)
    header = stored(page)["state"]["replay"]
    assert 100_000 < len(page.encode()) <= 200_000 and 10 < header["k"] < 400
    assert header["step"] == header["k"]
    monkeypatch.setattr("course_lib.widgets.replay.MOST_BYTES", 60_000)
    with pytest.raises(ValueError, match="do not fit"):
        explorer.replay_page(4)
    with pytest.raises(ValueError, match="at least one move"):
        explorer.replay_page(0)


def test_replay_displays_a_frame_with_its_alt_text(monkeypatch):
    shown = []
    monkeypatch.setattr("IPython.display.display", lambda data, raw: shown.append((data, raw)))
    explorer = LandscapeExplorer(n=20, steps=0)
    explorer.replay(60)
    [(data, raw)] = shown
    assert raw and set(data) == {"text/plain", "text/html"}
    assert "20 particles after 60 moves of HMC(step_size=0.15, n_leapfrog=10)" in data["text/plain"]
    assert html.escape(data["text/plain"]) in data["text/html"]
    assert data["text/html"].startswith("<iframe ") and 'sandbox="allow-scripts"' in data["text/html"]
    assert len(data["text/html"].encode()) <= 200_000


def test_all_handlers_are_tested_above():
    assert set(HANDLERS) == {"hello", "tick", "step", "fly", "pause", "reset", "drop", "set"}
