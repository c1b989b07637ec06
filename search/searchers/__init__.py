"""Searchers suggest the configurations of new trials."""
