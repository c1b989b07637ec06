"""From the options of a search to a checked plan."""
