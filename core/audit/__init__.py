"""Compute shown numbers anew by their oracles, from the raw weights, in a process of its own."""
