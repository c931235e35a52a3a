"""Every layout of a job, priced; the best, what it beat, and the front."""
