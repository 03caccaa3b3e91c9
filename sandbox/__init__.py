"""The outside world in miniature: five vendors and a model as local servers with state, time and faults."""
