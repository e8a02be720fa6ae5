"""Rollouts: how a version that passed takes over the traffic, step by step, or gives it back.

In come a plan, the champion, a candidate and what was counted while both served; out go decisions, each one transaction
with the registry, and the shares that follow from them. Without data it never advances, and it moves no bytes itself.
"""
