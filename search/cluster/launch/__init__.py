"""Other ways to a cluster than cluster.yaml, and what cluster.yaml needs beside Ray."""
