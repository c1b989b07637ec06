"""The run as a Ray Tune trainable; the only folder of trainable that knows Ray or AWS."""
