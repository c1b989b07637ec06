"""The stages of a run, in their order: language modelling, NLI, multitask, head tuning.

The first two are the *prefix*: functions from encoder weights to encoder weights. `stage_cache`
keeps their results for all runs that need the same. The other two are only configured here;
`trainable.training` runs them.
"""
