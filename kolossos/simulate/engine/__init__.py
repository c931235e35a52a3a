"""Playing a run: draw failures, stop for them, keep what a checkpoint saved, account for every GPU-second."""
