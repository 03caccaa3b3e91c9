"""The local model: an embedded classifier that answers without any key."""
