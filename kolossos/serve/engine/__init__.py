"""Requests in, tokens out: many at once, each with the bits that it has alone."""
