"""The event log, its folder, and the history of a search that is read from it."""
