"""A training run: episodes, the loop, checkpoints."""
