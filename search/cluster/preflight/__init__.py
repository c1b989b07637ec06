"""Checks of every node before a trial runs on it."""
