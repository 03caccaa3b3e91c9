"""Benchmarks: one command, ratios in one run. Seconds are this machine's; only the ratios count."""
