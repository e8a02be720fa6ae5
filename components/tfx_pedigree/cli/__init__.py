"""The command line: `pedigree`. In: arguments, settings, files that people wrote. Out: tables or JSON on stdout, notes,
progress and refusals on stderr, an exit code that scripts can rely on (docs/cli.md). It decides nothing and never loads
TensorFlow, nor anything else before the command that needs it.
"""
