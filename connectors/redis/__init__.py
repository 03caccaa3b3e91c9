"""Redis: the broker's server, locks and meters."""
