"""The contestants of train_speed.py: each one trains the same shape on the same tokens in a process of its own."""
