"""The library that the course *Generative Models on Energy Landscapes* teaches from."""

__version__ = "0.1.0"
