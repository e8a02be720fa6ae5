"""Pipelines on the services that run them: Kubeflow Pipelines and Vertex AI Pipelines.

In: a compiled pipeline as plain JSON, and the config file's section `target:`. Out: the pipeline mended, what a linter
finds in it, its digest, and what the services are told. Never: imports TFX or TensorFlow; compiling with TFX is a child
process's work (tfx_runner/compile_pipeline.py), and a container does the rest.

- `target`: the section `target:`: which service, which image, and where.
- `ir/`: compiled pipelines as values: reading and writing, digest, mending, linting.
"""
