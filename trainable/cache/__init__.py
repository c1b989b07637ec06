"""Files that appear whole, and tensors that the processes of a node share."""
