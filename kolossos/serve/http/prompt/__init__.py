"""From what a client says to the token ids that a model is given."""
