"""A page to ask, check and search in, for the one who starts it."""
