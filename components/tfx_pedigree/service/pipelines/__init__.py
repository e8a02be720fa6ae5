"""Pipelines that are started from here: a run, retraining, a backfill, and the same on Kubeflow or Vertex AI.

In come a config and a registry; out go runs and plans. TFX itself runs in a process of its own.
"""
