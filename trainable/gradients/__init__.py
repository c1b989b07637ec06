"""Gradient methods: how the tasks' losses or gradients become one update."""
