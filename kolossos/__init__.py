"""Kolossos: plan, train, run and use a Grok-class language model."""

__version__ = "0.1.0"
