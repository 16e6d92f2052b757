"""Learned landscapes with a bound: variational autoencoders and bidirectional Helmholtz machines.

Every estimator returns nats per example, `[B]`, summed over pixels and never averaged: a bound of log p(x)
keeps its meaning. The decoder's evidence by annealing says how far below the truth the bounds are.
"""

from course_lib.vae.bihm import BiHM, BiHMEstimate, train_bihm
from course_lib.vae.estimators import iwae_bound, kl_to_standard_normal, score_function, sgvb_a, sgvb_b
from course_lib.vae.evidence import DecoderLikelihood, decoder_posterior, evidence
from course_lib.vae.model import VAE
from course_lib.vae.plane import PlaneProblem
from course_lib.vae.training import History, train

__all__ = [
    "VAE",
    "BiHM",
    "BiHMEstimate",
    "DecoderLikelihood",
    "History",
    "PlaneProblem",
    "decoder_posterior",
    "evidence",
    "iwae_bound",
    "kl_to_standard_normal",
    "score_function",
    "sgvb_a",
    "sgvb_b",
    "train",
    "train_bihm",
]
