"""From the options of a command to a checked plan of the search."""
