"""What the work was worth: measures over ticket histories, each with its definition, n, exclusions and interval.

`history` holds the input (one row per ticket, or the same as columns), `engine.measure` the whole computation,
`figures.Figure` what comes out. The modules that compute import numpy; this one does not.
"""
