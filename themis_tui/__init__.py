"""The terminal app over :mod:`themis.runs`: it observes and asks, and decides nothing."""
