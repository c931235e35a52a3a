"""The tables played again in time order: what was known after each rating, who would have bet what, how it ended."""
