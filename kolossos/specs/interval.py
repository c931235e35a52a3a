"""An uncertain figure as plain values: one spelling of its points, for who writes it and who reads it."""

POINTS = {"p05": 0.05, "p50": 0.50, "p95": 0.95}
"""Keys of the low, middle and high value, and the share of outcomes below each; ``mean`` may stand beside them."""
