"""What starts TFX, each in a process of its own: a local run, a compilation, a measurement of drift.

In come arguments and files, out go exit codes and lines of JSON. The only room beside `tfx_components/`
that knows TFX, and never imported by the command line: TensorFlow would come with it.
"""
