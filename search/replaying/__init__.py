"""Other schedulers, played on the learning curves of a search that is there."""
