"""Schedulers: they decide at each rung which trials go on."""
