"""The loop around the rules: what it records, what it repeats, what it refuses, how it fails."""

import math
import warnings

import pytest
import torch
from torch import nn

from course_lib.data import Mixture, ring
from course_lib.energies import GaussianMixture
from course_lib.gan import (
    Diverged,
    Game,
    History,
    alternating,
    fixed_generator,
    gradient_penalty,
    historical_average,
    instance_noise,
    r1,
    unrolled,
)
from course_lib.nets import critic as make_critic
from course_lib.nets import he_init, mlp, xavier_init
from tests.gan.toys import dirac_game, seeded

CENTRES = Mixture([[1.0, 0.0], [-1.0, 0.0]], 0.1)


def make_game(seeds=None, data=CENTRES, **how):
    torch.manual_seed(0)
    return Game(mlp([3, 8, 2], seeds), make_critic([2, 8, 1], seeds), data, **{"batch": 16, **how})


def weights(game):
    return [
        p.detach().clone() for net in (game.generator, game.critic, game.average) for p in net.parameters()
    ]


def same(a, b):
    return all(torch.equal(p, q) for p, q in zip(a, b, strict=True))


class InterruptedAt:
    """A watch that presses Ctrl-C once, at a given step."""

    def __init__(self, step):
        self.step = step

    def __call__(self, game):
        if game.step == self.step:
            self.step = None
            raise KeyboardInterrupt
        return {"mean": game.sample(8).mean()}


# -- records ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seeds", [None, 3])
def test_history_has_every_record(seeds):
    game = make_game(seeds)
    history = game.train(
        20, every=5, watch=lambda g: {"step": g.step, "spread": g.sample(9).std(-2)}, progress=False
    )
    lead = () if seeds is None else (seeds,)
    assert history.steps == [5, 10, 15, 20] and history.finished and game.history is history
    assert history.d_loss.shape == history.g_loss.shape == (4, *lead)
    assert history["step"].tolist() == history.steps and history.watched["spread"].shape == (4, *lead, 2)
    assert history.seconds == sorted(history.seconds)
    with pytest.raises(KeyError, match="not watched; there is step, spread"):
        history["nothing"]
    assert len(make_game().train(250, progress=False).steps) == 125  # some hundred by default


def test_recorded_losses_are_those_of_the_step():
    game = dirac_game(theta=0.5, psi=-0.3)  # L_D = theta psi, then L_G = -psi' theta
    history = game.train(1, progress=False)
    assert history.d_loss.item() == pytest.approx(-0.15)
    assert history.g_loss.item() == pytest.approx((0.3 + 0.1 * 0.5) * 0.5)


def test_a_history_survives_its_file(tmp_path):
    history = make_game(2).train(10, every=2, watch=lambda g: {"n": g.step}, progress=False)
    history.save(tmp_path / "run.safetensors")
    again = History.load(tmp_path / "run.safetensors")
    assert again.steps == history.steps and again.finished and again.seconds == history.seconds
    assert torch.equal(again.d_loss, history.d_loss) and torch.equal(again.g_loss, history.g_loss)
    assert torch.equal(again["n"], history["n"])
    with pytest.raises(FileNotFoundError, match="no history at"):
        History.load(tmp_path / "other.safetensors")
    from safetensors.torch import save_file

    save_file({"x": torch.zeros(1)}, str(tmp_path / "weights.safetensors"))
    with pytest.raises(ValueError, match="no history that"):
        History.load(tmp_path / "weights.safetensors")


def test_a_watch_must_keep_its_names():
    names = iter(["a", "b"])
    with pytest.raises(ValueError, match=r"returned \['b'\] now, but \['a'\]"):
        make_game().train(2, every=1, watch=lambda g: {next(names): 0.0}, progress=False)


# -- the same again --------------------------------------------------------------------------------------


def test_same_seed_same_bits_and_looking_changes_nothing():
    how = {"penalty": gradient_penalty(1.0), "noise": instance_noise(0.1)}
    one, two, other = make_game(**how), make_game(**how), make_game(seed=1, **how)
    one.train(12, progress=False)
    two.train(12, every=3, watch=lambda g: {"x": g.sample(50).mean()}, progress=False)
    other.train(12, progress=False)
    assert same(weights(one), weights(two)) and not same(weights(one), weights(other))
    draw = one.sample(5, generator=seeded(4))
    assert torch.equal(draw, one.sample(5, generator=seeded(4)))
    assert not torch.equal(one.sample(5), one.sample(5))


@pytest.mark.parametrize("rule", [alternating(), unrolled(2)])
def test_an_interrupted_training_resumes_to_the_same_end(rule):
    def started():
        past = historical_average(0.1)
        return make_game(rule=rule, terms=[past], penalty=past.penalty)

    whole, broken = started(), started()
    full = whole.train(40, every=4, watch=InterruptedAt(-1), progress=False)
    with pytest.warns(UserWarning, match="interrupted: the game stands at step 23 of 40") as caught:
        partial = broken.train(40, every=4, watch=InterruptedAt(24), progress=False)
    assert len(caught) == 1 and not partial.finished and partial.steps == [4, 8, 12, 16, 20]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        resumed = broken.resume()
    assert resumed.finished and resumed.steps == full.steps
    assert torch.equal(resumed.d_loss, full.d_loss) and torch.equal(resumed["mean"], full["mean"])
    assert same(weights(whole), weights(broken))
    with pytest.raises(ValueError, match="no interrupted training"):
        broken.resume()


def test_an_interrupt_between_the_players_takes_back_the_half_step():
    game, calls = make_game(), []
    original = game.train_generator

    def interrupting():
        calls.append(game.step)
        if game.step == 30:
            raise KeyboardInterrupt
        return original()

    game.train_generator = interrupting
    with pytest.warns(UserWarning, match="step 30 of 50"):
        game.train(50, progress=False)
    game.train_generator = original
    game.resume()
    other = make_game()
    other.train(50, progress=False)
    assert same(weights(game), weights(other))


def test_an_interrupt_between_a_record_and_its_state_forgets_the_record():
    game, original = make_game(), Game.state

    def interrupting():
        if game.step == 10 and len(game.history.steps) == 2:
            game.state = lambda: original(game)
            raise KeyboardInterrupt
        return original(game)

    game.state = interrupting
    with pytest.warns(UserWarning, match="step 8 of 400"):
        assert game.train(400, every=5, progress=False).steps == [5]
    game.resume()
    assert game.history.steps == list(range(5, 401, 5))
    other = make_game()
    assert torch.equal(other.train(400, every=5, progress=False).d_loss, game.history.d_loss)


def test_a_saved_state_goes_back():
    game = make_game(penalty=r1(0.1))
    game.train(5, progress=False)
    state = game.state()
    game.train(5, progress=False)
    end = weights(game)
    game.load(state)
    assert game.step == 5
    game.train(5, progress=False)
    assert same(end, weights(game))


# -- numbers that are not numbers ------------------------------------------------------------------------


def spoiled(at, value=math.nan):
    """Data that turn bad at a draw."""
    draws = [0]

    def draw(n, generator):
        draws[0] += 1
        x = torch.randn(n, 2, generator=generator)
        return x if draws[0] <= at else x * value

    return draw


def test_nan_stops_at_its_step_and_keeps_the_last_good_state():
    game = make_game(data=spoiled(31))  # one draw at the start, then one a step: bad from step 31 on
    with pytest.raises(Diverged, match="critic's loss is not finite at step 31; the game is back at step 30"):
        game.train(200, every=10, progress=False)
    assert game.step == 30 and game.history.steps == [10, 20, 30] and not game.history.finished
    assert all(p.isfinite().all() for p in weights(game))
    good = make_game()
    good.data = spoiled(999)
    good.train(200, every=10, watch=InterruptedAt(-1), progress=False)  # the same until step 30
    assert torch.equal(game.history.d_loss, good.history.d_loss[:3])


def test_weights_that_overflow_are_taken_back():
    game = make_game(lr=1e38, decay=False)
    with pytest.raises(Diverged, match="at step"):
        game.train(50, progress=False)
    assert all(p.isfinite().all() for p in weights(game)) and game.sample(5).isfinite().all()


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_no_step_is_taken_on_numbers_that_are_not_finite(bad):
    game = make_game()
    before, grads = weights(game), [torch.ones_like(p) for p in game.g.params]
    with pytest.raises(Diverged, match="generator's loss is not finite at step 1"):
        game.update(game.g, torch.tensor(bad), grads)
    with pytest.raises(Diverged, match="generator's gradient is not finite at step 1"):
        game.update(game.g, torch.tensor(0.0), [*grads[:-1], bad * grads[-1]])
    assert same(before, weights(game)) and game.g.memory is None


def test_the_seed_that_diverged_is_named():
    class OneBad(nn.Module):
        seeds = 3

        def __init__(self):
            super().__init__()
            self.net = make_critic([2, 4, 1], seeds=3)

        def forward(self, x):
            return self.net(x) / torch.tensor([1.0, 0.0, 1.0])[:, None]

    game = Game(mlp([2, 4, 2], seeds=3), OneBad(), CENTRES)
    with pytest.raises(Diverged, match=r"seeds \[1\]"):
        game.train(1, progress=False)


# -- parts -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [
        ring(),
        GaussianMixture([[0.0, 1.0]], 0.5),
        torch.randn(40, 2),
        lambda n, generator: torch.rand(n, 2, generator=generator),
    ],
    ids=["point set", "energy", "tensor", "function"],
)
@pytest.mark.parametrize("seeds", [None, 2])
def test_all_kinds_of_data(data, seeds):
    game = make_game(seeds, data)
    real = game.reals(10)
    assert real.shape == ((10, 2) if seeds is None else (2, 10, 2))
    if seeds:
        assert not torch.equal(real[0], real[1])  # each seed draws its own
    if torch.is_tensor(data):
        assert all((row == data).all(1).any() for row in real.reshape(-1, 2))
    game.train(2, progress=False)


def test_a_data_schedule_follows_the_progress():
    class Growing:
        def at(self, progress):
            return lambda n, generator: torch.full((n, 2), progress)

    game, seen = make_game(data=Growing(), ema=None), []
    game.train(4, every=1, watch=lambda g: {"x": g.reals(1)[0, 0]}, progress=False)
    seen = game.history["x"].tolist()
    assert seen == [0.25, 0.5, 0.75, 1.0]


@pytest.mark.parametrize(
    ("latent", "std", "bound"), [("normal", 1.0, 9.0), ("uniform", 1 / math.sqrt(3), 1.0)]
)
def test_latent_points(latent, std, bound):
    z = make_game(2, latent=latent).latents(20_000)
    assert z.shape == (2, 20_000, 3) and z.abs().max() <= bound
    assert z.std().item() == pytest.approx(std, rel=0.02) and abs(z.mean().item()) < 0.02


def test_rates_decay_over_the_second_half():
    game, rates = make_game(lr=(0.02, 0.01)), []
    game.train(100, every=1, watch=lambda g: rates.append((g.lr(g.g), g.lr(g.d))) or {}, progress=False)
    generator, critic = zip(*rates, strict=True)
    assert generator[49] == 0.02 and critic[49] == 0.01
    assert generator[74] == pytest.approx(0.01) and critic[74] == pytest.approx(0.005)
    assert generator[99] == pytest.approx(0.0002)
    steady = make_game(lr=0.02, decay=False)
    steady.train(10, progress=False)
    assert steady.lr(steady.g) == 0.02


def test_the_average_follows_the_generator():
    game, before = make_game(ema=0.5), None
    before = [p.clone() for p in game.average.parameters()]
    game.advance()
    follow = 1 - min(0.5, 2 / 11)
    for a, old, now in zip(game.average.parameters(), before, game.generator.parameters(), strict=True):
        assert torch.allclose(a, old + follow * (now.detach() - old), atol=1e-7)
    assert make_game(ema=None).average is not game.average
    plain = make_game(ema=None)
    assert plain.average is plain.generator
    z = seeded(3)
    assert not torch.equal(
        game.sample(4, generator=z), game.sample(4, generator=z.manual_seed(3), average=False)
    )


def test_the_average_takes_over_buffers():
    torch.manual_seed(0)
    G = mlp([3, 8, 2], norm=nn.BatchNorm1d)
    game = Game(G, make_critic([2, 8, 1]), CENTRES)
    assert G.training and not G[1].running_mean.any()  # looking the parts over has not touched them
    game.train(3, progress=False)
    assert torch.equal(game.average[1].running_mean, G[1].running_mean) and G[1].running_mean.any()


def test_one_player_at_a_time():
    game = make_game()
    before = weights(game)
    assert game.train_critic().shape == ()
    after = weights(game)
    n = len(list(game.generator.parameters()))
    assert same(before[:n], after[:n]) and not same(before[n : 2 * n], after[n : 2 * n])
    game.train_generator()
    assert same(after[n : 2 * n], weights(game)[n : 2 * n]) and not same(after[:n], weights(game)[:n])


def test_playing_yields_snapshots_of_the_same_points():
    game = make_game(2)
    shots = list(game.play(6, every=2, n=5))
    assert [s.step for s in shots] == [2, 4, 6]
    assert shots[0].fake.shape == shots[0].real.shape == (2, 5, 2) and shots[0].d_loss.shape == (2,)
    assert torch.equal(shots[0].real, shots[2].real)
    assert 0 < (shots[0].fake - shots[2].fake).abs().max() < 0.5
    endless = game.play()
    assert [next(endless).step for _ in range(3)] == [7, 8, 9] and game.progress == 0
    again = make_game(2)
    again.train(6, progress=False)
    other = make_game(2)
    for _ in other.play(6):
        assert torch.is_grad_enabled()
    assert same(weights(again), weights(other))  # playing is training
    with pytest.raises(ValueError, match="no interrupted training"):
        other.resume()


def test_a_bar_is_shown_only_when_asked_for(capsys):
    make_game().train(3, progress=False)
    assert capsys.readouterr().err == ""
    make_game().train(3)
    assert "3/3" in capsys.readouterr().err


def test_images_and_convolutions():
    torch.manual_seed(0)
    G = nn.Sequential(nn.Linear(4, 36), nn.Unflatten(1, (1, 6, 6)), nn.Conv2d(1, 1, 3, padding=1))
    G.latent_dim = 4
    D = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(64, 1), nn.Flatten(0))
    for penalty in (r1(0.1), gradient_penalty(1.0)):
        game = Game(G, D, torch.randn(20, 1, 6, 6), penalty=penalty, batch=8)
        game.train(2, progress=False)
        assert game.sample(3).shape == (3, 1, 6, 6)


# -- refusals --------------------------------------------------------------------------------------------


def without_latent_dim():
    net = mlp([3, 8, 2])
    del net.latent_dim
    return net


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ({"latent": "cauchy"}, "latent='cauchy'"),
        ({"batch": 0}, "batch=0"),
        ({"ema": 1.0}, "ema=1.0"),
        ({"lr": 0.0}, "generator's learning rate must be positive"),
        ({"lr": (0.1, -1.0)}, "critic's learning rate must be positive"),
        ({"data": torch.randn(0, 2)}, "no example"),
        ({"data": torch.randn(9, 3)}, r"makes \[4, 2\] .* but the data are \[4, 3\]"),
        ({"data": torch.randn(9, 2).double()}, r"float32 from .*float64"),
        ({"generator": without_latent_dim()}, "latent_dim"),
        ({"generator": mlp([3, 8, 2], seeds=2)}, "same number of seeds, but have 2 and None"),
        ({"critic": mlp([2, 8, 1])}, r"one logit per sample, \[4\] .* returned \[4, 1\]"),
    ],
)
def test_parts_that_do_not_fit_are_refused(how, says):
    parts = {"generator": mlp([3, 8, 2]), "critic": make_critic([2, 8, 1]), "data": CENTRES, **how}
    with pytest.raises(ValueError, match=says):
        Game(parts.pop("generator"), parts.pop("critic"), parts.pop("data"), **parts)


def test_players_without_parameters_are_refused():
    with pytest.raises(ValueError, match="critic has no parameters"):
        Game(mlp([3, 8, 2]), nn.Flatten(0), CENTRES)
    still = nn.Identity()
    still.latent_dim = 2
    game = Game(still, make_critic([2, 8, 1]), CENTRES, rule=fixed_generator(2))
    game.train(3, progress=False)
    assert game.sample(4).shape == (4, 2)
    game.rule = alternating()
    with pytest.raises(ValueError, match="generator has no parameters"):
        game.train(1, progress=False)


def test_bad_counts_are_refused():
    for how in ({"steps": 0}, {"steps": 5, "every": 6}, {"steps": 5, "every": 0}):
        with pytest.raises(ValueError, match="1 <= every <= steps"):
            make_game().train(**how, progress=False)
    with pytest.raises(ValueError, match="no interrupted training"):
        make_game().resume()
    with pytest.raises(ValueError, match="play needs"):
        next(make_game().play(0))


# -- the nets --------------------------------------------------------------------------------------------


def test_nets_of_one_seed_and_of_many():
    assert make_critic([2, 4, 1])(torch.randn(6, 2)).shape == (6,)
    assert make_critic([2, 4, 1], seeds=3)(torch.randn(3, 6, 2)).shape == (3, 6)
    with pytest.raises(ValueError, match="the last being 1"):
        make_critic([2, 4, 2])
    with pytest.raises(ValueError, match="the last being 1"):
        make_critic([2, 1])
    assert mlp([2, 4, 3], output=nn.Tanh)(100 * torch.randn(9, 2)).abs().max() <= 1


@pytest.mark.parametrize("seeds", [None, 4])
def test_he_init_keeps_the_scale_of_a_deep_net(seeds):
    torch.manual_seed(0)
    sizes = [64] * 13
    x = torch.randn(200, 64)
    deep, plain = he_init(mlp(sizes, seeds))(x), mlp(sizes, seeds)(x)
    assert 0.1 < deep.square().mean() < 10 and plain.var(-2).mean() < 1e-3


@pytest.mark.parametrize("seeds", [None, 40])
def test_inits_have_their_variance(seeds):
    torch.manual_seed(0)
    for init, variance in ((he_init, 2 / 300), (xavier_init, 2 / 400)):
        layer = init(mlp([300, 100], seeds))[0]
        assert layer.weight.var().item() == pytest.approx(variance, rel=0.03) and not layer.bias.any()
