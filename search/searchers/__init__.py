"""Searchers: they suggest the configurations of new trials."""
