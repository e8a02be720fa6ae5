"""What the components of a pipeline ask of the registry: may this run do all that it will do, push, record lineage.

In come what a run's artifacts say; out go outcomes that a repeated run gets again. Nothing here knows TFX.
"""
