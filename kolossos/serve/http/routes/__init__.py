"""The interface itself, a file for each part of it."""
