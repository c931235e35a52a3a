"""Pictures of a simulated run."""
