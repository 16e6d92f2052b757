"""Generative models on energy landscapes: the library that the course teaches from.

One line of thought runs through it: every model is a landscape `U(x) = -log p~(x)`,
every algorithm a way to move on it. Rooms, ground floor first (a room imports only from
floors below): nets, notebook; energies, data; sampling; metrics; vae, gan; cogen; checks; plots,
widgets; grading, cli.
"""

__version__ = "0.1.0"
