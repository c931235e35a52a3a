"""Commands that start and try jobs of many processes."""
