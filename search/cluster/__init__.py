"""Everything on the driver's side that knows Ray: connecting, slots, nodes, and Ray Tune."""
