"""The bidirectional Helmholtz machine against full enumeration of tiny models."""

import itertools

import pytest
import torch

from course_lib.data import digits
from course_lib.vae import BiHM, train_bihm

SIZES = (4, 3, 2)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def tiny(seed=0, sizes=SIZES):
    torch.manual_seed(seed)
    model = BiHM(sizes)
    for p in model.parameters():
        p.data.normal_()
    return model


def every(n):
    return torch.tensor(list(itertools.product([0.0, 1.0], repeat=n)))


def states(model):
    """All states, x slowest: a list of `[2^sum, n_l]`."""
    rows = every(sum(model.sizes))
    return list(rows.split(model.sizes, 1))


@torch.no_grad()
def truth(model):
    """log p~*(x) `[2^D]`, log Z^2, log p(x) by enumeration."""
    h, n = states(model), 2 ** model.sizes[0]
    log_star = 2 * ((model.log_p(h) + model.log_q(h)) / 2).view(n, -1).logsumexp(1)
    return log_star, log_star.logsumexp(0), model.log_p(h).view(n, -1).logsumexp(1)


@pytest.mark.parametrize("sizes", [(4, 3), (4, 3, 2), (3, 3, 2, 2)])
def test_p_and_q_are_normalised(sizes):
    model = tiny(sizes=sizes)
    h = states(model)
    with torch.no_grad():
        assert model.log_p(h).exp().sum() == pytest.approx(1, abs=1e-4)
        per_x = model.log_q(h).exp().view(2 ** sizes[0], -1).sum(1)
    assert torch.allclose(per_x, torch.ones_like(per_x), atol=1e-4)


@pytest.mark.parametrize("seed", range(3))
def test_estimates_against_enumeration(seed):
    model = tiny(seed)
    log_star, log_z2, log_p = truth(model)
    estimate = model.estimate(every(4), 20_000, generator=seeded(seed))
    assert abs((estimate.log_p_star - log_star).mean()) < 0.02
    assert abs((estimate.log_p - log_p).mean()) < 0.05
    assert abs(model.log_z2(200_000, generator=seeded(seed)) - log_z2) < 0.03
    assert log_z2 <= 0 and (log_star <= log_star - log_z2).all()
    assert (estimate.elbo <= estimate.log_p + 1e-6).all()
    assert ((estimate.ess > 0) & (estimate.ess <= 1)).all()


def test_the_training_gradient_is_that_of_log_p_tilde_star():
    """In expectation over many draws the self-normalised gradient approaches the exact one (bias 1 / K)."""
    model = tiny(1)
    x = torch.tensor([[1.0, 0.0, 1.0, 1.0]])
    h = [part[(states(model)[0] == x).all(1)] for part in states(model)]
    exact = 2 * ((model.log_p(h) + model.log_q(h)) / 2).logsumexp(0)
    exact = torch.cat([g.flatten() for g in torch.autograd.grad(exact, model.parameters())])
    value = torch.stack([model.objective(x, 200, generator=seeded(s)) for s in range(200)]).mean()
    found = torch.cat([g.flatten() for g in torch.autograd.grad(value, model.parameters())])
    assert torch.nn.functional.cosine_similarity(exact, found, dim=0) > 0.999
    assert (found - exact).norm() < 0.05 * exact.norm()
    assert value.item() == pytest.approx(truth(model)[0][0b1011].item(), abs=0.05)


@pytest.mark.parametrize("seed", range(2))
def test_gibbs_leaves_the_model_invariant(seed):
    """From draws of p the chain forgets p and settles on p*, whose shares enumeration knows."""
    model, n = tiny(seed), 4000
    log_star, log_z2, _ = truth(model)
    h = model.gibbs(model.dream(n, seeded(seed)), 60, generator=seeded(seed + 10))
    code = (h[0] * torch.tensor([8.0, 4.0, 2.0, 1.0])).sum(1).long()
    share, exact = torch.bincount(code, minlength=16) / n, (log_star - log_z2).exp()
    z = (share - exact) / (exact * (1 - exact) / n).sqrt()
    assert z.abs().max() < 5
    start = torch.bincount(
        (model.dream(n, seeded(3))[0] * torch.tensor([8.0, 4, 2, 1])).sum(1).long(), minlength=16
    )
    assert ((start / n - exact) / (exact * (1 - exact) / n).sqrt()).abs().max() > 5  # p itself is not p*


def test_inpainting_keeps_what_is_known_and_draws_the_rest_from_the_conditional():
    model, n = tiny(0), 4000
    log_star, _, _ = truth(model)
    known = torch.tensor([True, True, False, False])
    h = model.dream(n, seeded())
    h[0][:, 0], h[0][:, 1] = 1.0, 0.0
    h = model.gibbs(h, 60, known=known, generator=seeded(1))
    assert (h[0][:, 0] == 1).all() and (h[0][:, 1] == 0).all()
    code = (h[0][:, 2:] * torch.tensor([2.0, 1.0])).sum(1).long()
    exact = log_star[8:12].softmax(0)  # x = 10??
    z = (torch.bincount(code, minlength=4) / n - exact) / (exact * (1 - exact) / n).sqrt()
    assert z.abs().max() < 5


def test_digits_reach_the_known_level():
    x, _ = digits()
    x = (x.reshape(len(x), -1) > 0).float()[torch.randperm(len(x), generator=seeded())]
    torch.manual_seed(0)
    model = BiHM((64, 40, 20))
    history = train_bihm(model, x[:1500], generator=seeded())
    estimate = model.estimate(x[1500:], generator=seeded())
    log_z2 = model.log_z2(generator=seeded())
    assert history.finished and len(history.bound) == 60
    assert (
        estimate.log_p_star.mean() - log_z2 >= -20.6 and estimate.ess.mean() >= 0.45 and -1.2 <= log_z2 <= 0
    )


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda: BiHM((4,)), "at least one layer"),
        (lambda: train_bihm(BiHM((4, 2)), torch.rand(5, 4)), "0 or 1"),
        (lambda: BiHM((4, 2)).estimate(torch.zeros(3, 5)), r"\[B, 4\]"),
    ],
)
def test_bad_input_is_named(act, message):
    with pytest.raises(ValueError, match=message):
        act()
