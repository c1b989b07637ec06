"""report.html: one page of a search, from its event log, in one file without a network."""
