"""Batch orders: which tasks give a batch at each step, and of what size."""
