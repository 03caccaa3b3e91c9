"""Exports: ticket histories from what a desk writes to a file, with every problem told by row and column.

Two passes over the lines: `survey` finds out what the columns mean and in which order dates are written, `read`
turns all rows into histories. Nothing is guessed silently: what was assumed stands in `Export.assumptions`.
"""
