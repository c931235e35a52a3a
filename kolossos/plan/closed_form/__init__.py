"""The closed form of a step: its work, kernels, blocks, pipeline, traffic of gradients, and memory."""
