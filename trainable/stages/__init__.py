"""The stages of a run, in their order: language modelling, inference, multitask, head tuning.

The first two are the *prefix*: functions from encoder weights to encoder weights, whose results
`store` keeps for all runs that need the same.
"""
