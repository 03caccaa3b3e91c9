"""Feedback: what people changed, as data. Where it comes from, what may be learnt from it, and how it is exported."""
