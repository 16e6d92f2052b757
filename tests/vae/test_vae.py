"""The VAE against closed forms: KL, a linear-Gaussian model whose posterior is known, and its evidence."""

import math

import pytest
import torch
from torch.distributions import Independent, Normal, kl_divergence

from course_lib.data import digits
from course_lib.energies import LinearPosterior
from course_lib.sampling import HMC, ais, ais_reverse, pilot, sandwich, sigmoid_betas
from course_lib.vae import (
    VAE,
    decoder_posterior,
    evidence,
    iwae_bound,
    kl_to_standard_normal,
    score_function,
    sgvb_a,
    sgvb_b,
    train,
)

WEIGHT = torch.tensor([[1.0, 0.5], [0.0, -1.0], [2.0, 0.3]])
BIAS, NOISE_VAR = torch.tensor([0.5, 0.0, -1.0]), 0.3


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def linear_vae(exact_posterior=True):
    """x = W z + b + noise, whose posterior a linear encoder can hit exactly if its covariance is diagonal."""
    q, _ = torch.linalg.qr(torch.randn(3, 2, generator=seeded(1)))
    weight = q * torch.tensor([1.5, 0.7])  # orthogonal columns: I + W' W / v is diagonal
    model = VAE(3, 2, hidden=(), likelihood="gaussian", noise_var=NOISE_VAR)
    precision = 1 + weight.square().sum(0) / NOISE_VAR
    with torch.no_grad():
        model.decoder[0].weight.copy_(weight)
        model.decoder[0].bias.copy_(BIAS)
        gain = (weight.T / NOISE_VAR) / precision[:, None]
        model.encoder[0].weight.copy_(torch.cat([gain, torch.zeros(2, 3)]))
        shift = -gain @ BIAS + (0.0 if exact_posterior else 0.5)
        model.encoder[0].bias.copy_(torch.cat([shift, -precision.log()]))
    x = model.sample(20, generator=seeded(2))
    log_p = torch.tensor([LinearPosterior(weight, BIAS, one, NOISE_VAR).log_z for one in x])
    return model, x, log_p


@pytest.fixture(scope="module")
def pictures():
    x, _ = digits()
    x = (x.reshape(len(x), -1) > 0).float()  # pixels in [-1, 1]; above the middle is ink
    return x[torch.randperm(len(x), generator=seeded())]


@pytest.fixture(scope="module")
def trained(pictures):
    torch.manual_seed(0)
    model = VAE(64, 8)
    history = train(model, pictures[:1500], epochs=60, generator=seeded())
    return model, history


def test_closed_form_kl():
    mean, log_var = (torch.randn(7, 3, generator=seeded(s), dtype=torch.float64) for s in (0, 1))
    q = Independent(Normal(mean, (log_var / 2).exp()), 1)
    p = Independent(Normal(torch.zeros_like(mean), torch.ones_like(mean)), 1)
    assert torch.allclose(kl_to_standard_normal(mean, log_var), kl_divergence(q, p))
    assert kl_to_standard_normal(torch.zeros(1, 3), torch.zeros(1, 3)) == 0


@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian"])
def test_log_likelihood_sums_over_pixels(likelihood):
    model = VAE(5, 2, likelihood=likelihood, noise_var=0.3 if likelihood == "gaussian" else None)
    x = torch.rand(4, 5, generator=seeded()).round()
    z = torch.randn(3, 4, 2, generator=seeded(1))
    mean = model.decode(z)
    law = torch.distributions.Bernoulli(mean) if likelihood == "bernoulli" else Normal(mean, 0.3**0.5)
    assert torch.allclose(model.log_likelihood(x, z), law.log_prob(x.expand_as(mean)).sum(-1), atol=1e-5)


@pytest.mark.parametrize("estimator", [sgvb_a, sgvb_b, score_function, iwae_bound])
def test_every_bound_is_exact_at_the_optimum_of_a_linear_model(estimator):
    model, x, log_p = linear_vae()
    with torch.no_grad():
        draws = torch.stack([estimator(model, x, 5, generator=seeded(s)) for s in range(400)])
    error = draws.mean(0) - log_p
    assert draws.shape == (400, 20)
    assert (error.abs() < 5 * draws.std(0) / 20 + 1e-4).all()
    if estimator in (sgvb_a, iwae_bound):  # log p(x, z) - log q(z | x) is then a constant
        assert draws.std(0).max() < 1e-4


def test_away_from_the_optimum_the_gap_is_the_kl_and_iwae_closes_it():
    model, x, log_p = linear_vae(exact_posterior=False)
    exact, _, _ = linear_vae()
    with torch.no_grad():
        (m0, v0), (m1, _) = exact.encode(x), model.encode(x)
        gap = ((m1 - m0).square() / v0.exp()).sum(1) / 2
        bound = torch.stack([sgvb_a(model, x, generator=seeded(s)) for s in range(4000)])
        iwae = torch.stack([iwae_bound(model, x, 200, generator=seeded(s)) for s in range(20)])
    assert ((bound.mean(0) - (log_p - gap)).abs() < 5 * bound.std(0) / 4000**0.5).all()
    assert (iwae.mean(0) - log_p).abs().max() < 0.2 < gap.min()


def test_a_and_b_have_the_same_expectation():
    torch.manual_seed(0)
    model, x = VAE(6, 2), torch.rand(10, 6, generator=seeded())
    with torch.no_grad():
        a, b = (
            torch.stack([f(model, x, generator=seeded(s)) for s in range(2000)]) for f in (sgvb_a, sgvb_b)
        )
    z = (a.mean(0) - b.mean(0)) / ((a.var(0) + b.var(0)) / 2000).sqrt()
    assert z.abs().max() < 3


def encoder_gradients(model, x, estimate, n=2000):
    rows = []
    for seed in range(n):
        value = estimate(model, x, seeded(seed)).sum()
        rows.append(torch.cat([g.flatten() for g in torch.autograd.grad(value, model.encoder.parameters())]))
    return torch.stack(rows)


def test_all_gradients_have_the_same_mean_and_very_different_variances():
    torch.manual_seed(0)
    model, x = VAE(4, 1, hidden=()), torch.rand(1, 4, generator=seeded())
    ways = {
        "B": lambda m, x, g: sgvb_b(m, x, generator=g),
        "A": lambda m, x, g: sgvb_a(m, x, generator=g),
        "score": lambda m, x, g: score_function(m, x, generator=g),
        "score, 5 draws": lambda m, x, g: score_function(m, x, 5, generator=g),
        "score, 5 draws, leave one out": lambda m, x, g: score_function(
            m, x, 5, leave_one_out=True, generator=g
        ),
    }
    gradients = {name: encoder_gradients(model, x, way) for name, way in ways.items()}
    reference = gradients["B"]
    for name, rows in gradients.items():
        error = (rows.var(0) + reference.var(0)) / len(rows)
        assert ((rows.mean(0) - reference.mean(0)).abs() < 5 * error.sqrt()).all(), name
    trace = {name: rows.var(0).sum() for name, rows in gradients.items()}
    assert trace["B"] < trace["A"] < trace["score"]
    assert trace["score, 5 draws, leave one out"] < 0.5 * trace["score, 5 draws"]


def test_score_function_has_the_value_of_the_bound_and_pathwise_decoder_gradient():
    torch.manual_seed(0)
    model, x = VAE(4, 2), torch.rand(3, 4, generator=seeded())
    a, s = sgvb_a(model, x, 4, generator=seeded(1)), score_function(model, x, 4, generator=seeded(1))
    assert torch.allclose(a, s)
    decoder = list(model.decoder.parameters())
    for one, other in zip(torch.autograd.grad(a.sum(), decoder), torch.autograd.grad(s.sum(), decoder)):
        assert torch.allclose(one, other, atol=1e-6)


def test_noise_is_fresh_for_every_example():
    model, x = VAE(4, 2), torch.ones(2, 4)
    a = sgvb_a(model, x, generator=seeded())
    assert a[0] != a[1]  # the same picture twice, two different draws


def test_digits_reach_the_known_level(trained, pictures):
    model, history = trained
    assert len(history.bound) == 60 and history.finished and history.bound[-1] > history.bound[0] + 10
    held_out = pictures[1500:]
    with torch.no_grad():
        a, b = (f(model, held_out, 10, generator=seeded()).mean() for f in (sgvb_a, sgvb_b))
        tight = iwae_bound(model, held_out, 500, generator=seeded()).mean()
    assert tight >= -18.8 and max(a, b) < tight and abs(a - b) < 0.5


def test_annealing_brackets_the_evidence_of_the_decoder(trained, pictures):
    model, _ = trained
    x = pictures[1500:1540]
    with torch.no_grad():
        elbo = sgvb_b(model, x, 10, generator=seeded()).mean()
        iwae = iwae_bound(model, x, 500, generator=seeded()).mean()
    annealed = evidence(model, x, 8, generator=seeded(1))
    assert annealed.log_z.shape == (40,) and annealed.acceptance.mean() > 0.5
    assert (
        elbo < iwae < annealed.log_z.mean() + 0.3
    )  # the standard error of the mean over 40 pictures x 8 chains
    # On simulated data the latent point is an exact posterior draw, so both sides of the sandwich exist.
    z = torch.randn(40, 8, generator=seeded(2))
    simulated = torch.bernoulli(model.decode(z).detach(), generator=seeded(3))
    bridge, betas = decoder_posterior(model, simulated).bridge(), sigmoid_betas(200)
    kernels = pilot(bridge, 4, betas, HMC(0.3, 10, jitter=0.2), groups=40, generator=seeded(4))
    forward = ais(bridge, 1, betas, kernels, groups=40, generator=seeded(5))
    bounds = sandwich(forward, ais_reverse(bridge, z, betas, kernels, generator=seeded(6)))
    assert 0 < bounds.gap < 0.5


def test_evidence_of_a_linear_decoder_is_exact():
    model, x, log_p = linear_vae()
    result = evidence(model, x, 50, betas=sigmoid_betas(50), generator=seeded())
    assert (result.log_z - log_p).abs().max() < 0.3 and (result.log_z - log_p).mean().abs() < 0.05


def test_training_is_deterministic_watches_and_survives_interrupts(pictures):
    def go(watch=None):
        torch.manual_seed(0)
        model = VAE(64, 2)
        return model, train(model, pictures[:300], epochs=3, generator=seeded(), watch=watch)

    seen = []
    (a, history), (b, _) = go(lambda model: len(seen)), go()
    assert history.watched == [0, 0, 0] and len(history.bound) == 3
    assert all(torch.equal(p, q) for p, q in zip(a.parameters(), b.parameters()))

    def interrupt(model):
        seen.append(1)
        if len(seen) == 2:
            raise KeyboardInterrupt

    with pytest.warns(UserWarning, match="2 of 3 epochs"):
        _, history = go(interrupt)
    assert not history.finished and len(history.bound) == 2


def test_a_diverging_run_stops_and_keeps_the_last_good_weights(pictures):
    torch.manual_seed(0)
    model = VAE(64, 2, likelihood="gaussian")
    with pytest.raises(ValueError, match="try a smaller lr"):
        train(model, pictures[:300], epochs=20, lr=1e3, generator=seeded())
    assert all(p.isfinite().all() for p in model.parameters())


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda: sgvb_b(VAE(4, 2), torch.full((3, 4), 2.0)), r"\[0, 1\]"),
        (lambda: sgvb_b(VAE(4, 2), torch.zeros(3, 5)), r"\[B, 4\]"),
        (lambda: sgvb_a(VAE(4, 2), torch.full((3, 4), math.nan)), "NaN"),
        (lambda: iwae_bound(VAE(4, 2), torch.zeros(3, 4), 0), "K must be"),
        (lambda: sgvb_a(VAE(4, 2), torch.zeros(3, 4), 0), "L must be"),
        (lambda: score_function(VAE(4, 2), torch.zeros(3, 4), 1, leave_one_out=True), "leave_one_out"),
        (lambda: VAE(4, 2, likelihood="poisson"), "bernoulli"),
        (lambda: VAE(4, 2, likelihood="gaussian", noise_var=0.0), "noise_var"),
        (lambda: train(VAE(4, 2), torch.zeros(3, 4), epochs=0), "epochs"),
        (lambda: evidence(VAE(4, 2), torch.zeros(3, 5)), r"\[B, 4\]"),
    ],
)
def test_bad_input_is_named(act, message):
    with pytest.raises(ValueError, match=message):
        act()
