"""LatentExplorer: the library's decoder and chain, every message at the ends of its sliders, bad input."""

import math

import pytest
import torch

from course_lib.vae import VAE, decoder_posterior
from course_lib.widgets import LatentExplorer
from course_lib.widgets.latent import GRID, MOST, Walk
from tests.widgets.talk import Told, say


def pictures(n=6):
    torch.manual_seed(0)
    return VAE(9, 2, hidden=(8,)), (torch.rand(n, 9) > 0.5).float(), torch.arange(n)


@pytest.fixture
def explorer():
    return LatentExplorer(*pictures())


@pytest.fixture
def told(explorer):
    return Told(explorer)


def test_it_begins_at_the_guess_of_the_first_picture(explorer, told):
    model, x, _ = pictures()
    mean, log_var = model.encode(x)
    header = say(explorer, told, kind="hello")
    assert header["z"] == pytest.approx(mean[0].tolist()) and header["away"] == pytest.approx(0, abs=1e-5)
    assert header["std"] == pytest.approx((log_var[0] / 2).exp().tolist())
    assert torch.equal(told.floats(2), x[0]) and torch.equal(told.floats(4).view(-1, 2), mean)
    assert header["inside"] is None and header["label"] == 0 and explorer.view["labels"] == list(range(6))


def test_the_picture_is_what_the_decoder_paints(explorer, told):
    model, x, _ = pictures()
    header = say(explorer, told, kind="set", values={"z1": 1.25, "z2": -2.0, "example": 3})
    z = torch.tensor([[1.25, -2.0]])
    assert torch.allclose(told.floats(0), model.decode(z)[0])
    assert header["log_likelihood"] == pytest.approx(model.log_likelihood(x[3:4], z).item(), abs=1e-4)
    assert header["log_prior"] == pytest.approx(-(1.25**2 + 4) / 2 - math.log(2 * math.pi))
    assert header["settings"] == {"z1": 1.25, "z2": -2.0, "example": 3, "seed": 0}


def test_the_density_is_the_mean_of_the_guesses(explorer, told):
    model, x, _ = pictures()
    say(explorer, told, kind="hello")
    density = told.floats(3).view(GRID, GRID)
    mean, log_var = model.encode(x)
    law = torch.distributions.Normal(mean, (log_var / 2).exp())
    cell = 8 / GRID
    at = torch.tensor([(10 + 0.5) * cell - 4, (40 + 0.5) * cell - 4])
    assert density[40, 10].item() == pytest.approx(law.log_prob(at).sum(1).exp().mean().item(), rel=1e-4)
    assert 0.8 < density.sum() * cell**2 < 1.001


def test_play_is_the_librarys_chain_on_the_posterior(explorer, told):
    model, x, _ = pictures()
    explorer.set(example=2, z1=0.5, z2=0.5, seed=7)
    header = say(explorer, told, kind="more", count=12, playing=True)
    energy, kernel = decoder_posterior(model, x[2:3]), Walk.kernel
    generator = torch.Generator().manual_seed(7)
    state, places = kernel.init(energy, torch.tensor([[0.5, 0.5]])), []
    for _ in range(12):
        state, _ = kernel.step(energy, state, generator=generator)
        places.append(state.x)
    assert torch.equal(told.floats(1).view(-1, 2)[1:], torch.cat(places))
    mean, log_var = model.encode(x[2:3])
    inside = (((torch.cat(places) - mean) / (log_var / 2).exp()).norm(dim=1) < 2).double().mean().item()
    assert header["inside"] == pytest.approx(inside) and header["moves"] == 12
    say(explorer, told, kind="reset")
    assert explorer.walk.moves == 0
    again = LatentExplorer(model, x, z=(0.5, 0.5), example=2, seed=7, moves=12)
    assert torch.equal(again.walk.trail, torch.cat([torch.tensor([[0.5, 0.5]]), *places]))
    assert "moves=12" in repr(again)
    again.set(z1=1.0)
    assert again.walk.moves == 0 and again.walk.z.tolist() == [1.0, 0.5]
    again.set(z1=0.5)
    again.reset()
    assert torch.equal(again.walk.trail, torch.cat([torch.tensor([[0.5, 0.5]]), *places]))


def test_a_linear_decoder_fills_the_two_sigma_oval_as_it_should():
    """Where the guess is the posterior, 86 % of the walk is within two standard deviations."""
    model = VAE(4, 2, hidden=(), likelihood="gaussian", noise_var=0.5)
    with torch.no_grad():
        model.decoder[0].weight.copy_(torch.eye(4)[:, :2])
        model.decoder[0].bias.zero_()
        model.encoder[0].weight.copy_(torch.cat([torch.eye(4)[:2] / 1.5, torch.zeros(2, 4)]))
        model.encoder[0].bias.copy_(torch.tensor([0.0, 0.0, 1.0, 1.0]) * -math.log(3))
    explorer = LatentExplorer(model, torch.tensor([[1.0, -1.0, 0.0, 0.0]]))
    explorer.more(250)
    assert abs(explorer.walk.inside() - explorer.view["two_sigma"]) < 0.12


def test_every_message_at_the_ends_of_the_sliders(explorer, told):
    for z1 in (-4.0, 4.0):
        for z2 in (-4.0, 4.0):
            for example in (0, 5):
                header = say(
                    explorer, told, kind="set", values={"z1": z1, "z2": z2, "example": example, "seed": 3}
                )
                assert header["kind"] == "state" and header["settings"]["example"] == example
                assert told.floats(0).isfinite().all() and ((told.floats(0) >= 0).all())
                assert say(explorer, told, kind="more", count=20, playing=True)["moves"] == 20
                assert len(told.floats(1)) == 42 and told.floats(1).isfinite().all()
    assert say(explorer, told, kind="pause")["kind"] == "idle"
    assert "a 5" in explorer.alt and "20 moves" in explorer.alt


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ({"kind": "nonsense"}, "knows hello"),
        ({"kind": "set", "values": {"z1": 4.5}}, "place in the picture"),
        ({"kind": "set", "values": {"z2": "left"}}, "place in the picture"),
        ({"kind": "set", "values": {"example": 6}}, "number of a picture"),
        ({"kind": "set", "values": {"example": 1.5}}, "whole number"),
        ({"kind": "more", "count": MOST + 1}, "are enough"),
        ({"kind": "more", "count": 0}, "how much more"),
    ],
)
def test_a_message_that_makes_no_sense_is_answered_and_changes_nothing(explorer, told, message, words):
    before = repr(explorer)
    with pytest.raises(ValueError, match=words):
        explorer._on_msg(explorer, message, [])
    assert len(told) == 1 and told.last["kind"] == "error" and repr(explorer) == before


def test_bad_input_is_named():
    model, x, labels = pictures()
    for bad, words in (
        ((VAE(9, 3), x), "latent_dim=2"),
        ((model, x[:, :8]), r"\[B, 9\]"),
        ((model, x, labels[:2]), "as many labels"),
        ((model, x[:0]), "no pictures"),
    ):
        with pytest.raises(ValueError, match=words):
            LatentExplorer(*bad)
    for bad, words in (
        ({"shape": (2, 4)}, "give shape"),
        ({"z": (1.0, 2.0, 3.0)}, "z is a point"),
        ({"z": (9.0, 0.0)}, "place in the picture"),
        ({"example": -1}, "number of a picture"),
        ({"box": 0}, "half the width"),
    ):
        with pytest.raises(ValueError, match=words):
            LatentExplorer(model, x, **bad)


def test_one_picture_without_a_label_and_another_shape():
    model, x, _ = pictures()
    explorer = LatentExplorer(model, x[:1], shape=(1, 9))
    header = say(explorer, Told(explorer), kind="hello")
    assert header["label"] is None and explorer.view["shape"] == [1, 9]


def test_replay_is_one_page(explorer):
    page = explorer.replay_page(4)
    assert len(page) < 500_000 and "Animation." in page
