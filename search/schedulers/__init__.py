"""Schedulers decide at each rung which trials go on."""
