"""A searcher with a Gaussian process over params and rungs."""
