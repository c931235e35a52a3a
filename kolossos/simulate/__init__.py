"""Months of a run on many GPUs: failures, checkpoints, spares, growth, power and cost."""
