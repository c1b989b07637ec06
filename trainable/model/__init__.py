"""BERT and what stands on it: poolings, pair encodings, heads, projections."""
