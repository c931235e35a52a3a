"""Looking for the best interval, spares and whatever a policy lets vary, on the same failures."""
