"""Which layouts can be."""
