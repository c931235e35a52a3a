"""What a training step will take on hardware that need not be there: time, memory, traffic; and the best layout."""
