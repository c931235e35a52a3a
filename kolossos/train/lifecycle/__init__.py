"""From the beginning of a run to its end, seen from outside of the loop, and without torch.

Reading order: ``request`` (which run is asked for), ``data`` (what it reads, and that it stays the same), ``interrupt``
(signals), ``longer`` (more steps than it began with), ``outcome`` (how it ended). `kolossos/train/run.py` puts them
around the training.
"""
