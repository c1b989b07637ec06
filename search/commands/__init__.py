"""What each command of the project does, from top to bottom."""
