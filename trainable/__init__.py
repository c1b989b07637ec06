"""One minBERT multitask run: configuration, data, model, training loop, checkpoint."""
