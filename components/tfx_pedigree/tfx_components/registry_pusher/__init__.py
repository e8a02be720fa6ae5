"""The end of a run: registered, promoted if the verdict allows, laid out for TF Serving. In: a version and what judged
it. Out: what came of it, as TFX's Pusher says it. Never: judges itself, or lets a lost race break a run.
"""
