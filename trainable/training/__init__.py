"""One run: its inputs, model, training step and loop, checkpoints and predictions."""
