"""What a search does next, and what it watches while it runs; nothing here knows Ray."""
