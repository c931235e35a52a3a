"""A run that goes back to a checkpoint from before a bad step."""
