"""Traffic managers: what moves requests between versions of a model.

In come wanted shares and versions to load; out go what is really served, and counters. No manager decides anything.
"""
