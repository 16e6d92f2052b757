"""The same code on MNIST from its files: a fixture in their format, no download."""

import torch

from course_lib.data import mnist
from course_lib.vae import VAE, BiHM, iwae_bound, sgvb_b, train, train_bihm
from tests.data.test_pictures import write_mnist


def test_both_machines_learn_pictures_from_idx_files(tmp_path):
    write_mnist(tmp_path, n=7)
    x = (mnist(tmp_path).rows > 0).float()
    torch.manual_seed(0)
    model, random = VAE(784, 2, hidden=(32,)), torch.Generator().manual_seed(0)
    history = train(model, x, epochs=60, batch=7, lr=1e-2, generator=random)
    assert history.bound[-1] > history.bound[0] + 50
    with torch.no_grad():
        elbo, tight = sgvb_b(model, x, 20, generator=random), iwae_bound(model, x, 50, generator=random)
    assert elbo.mean() < tight.mean()
    machine = BiHM((784, 8))
    history = train_bihm(machine, x, epochs=60, batch=7, lr=1e-2, generator=random)
    assert history.bound[-1] > history.bound[0] + 50
