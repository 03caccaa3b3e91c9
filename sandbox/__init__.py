"""The outside world in miniature: five vendors and a model endpoint as local HTTP servers with state, time and faults."""
