"""Rollouts and deployments: what is ordered, where it stands, and what was served in the lineage graph.

In come a workspace and a plan; out go orders and sheets. What the traffic does is decided in the room `rollout`.
"""
