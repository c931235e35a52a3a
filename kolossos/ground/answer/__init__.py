"""Answers that quote: sentences chosen out of what a search found, or nothing where that is not enough."""
