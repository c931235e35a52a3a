"""The real training step of one rank of a world of any size, without hardware: FLOPs, traffic, memory."""
