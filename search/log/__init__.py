"""What is remembered: the event log, its folder, and the history that is read from it."""
