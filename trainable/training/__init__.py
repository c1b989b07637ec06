"""One run: inputs, model, training loop and step, checkpoints and predictions."""
