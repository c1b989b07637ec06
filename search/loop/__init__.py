"""What a search does next, and who watches it while it runs; nothing here knows Ray."""
