"""Where the best model is right and where it is wrong."""
