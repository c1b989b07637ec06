"""Search spaces: which hyperparameters of a run may vary, and within which ranges."""
