"""Examples of all tasks: sources, one schema, tokens, the dev split's two halves.

`prepare.prepare` is the entry point; everything here is free of Ray and Optuna.
"""
