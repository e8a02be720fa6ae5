"""A version and all that is on file of it: from a folder of files to a number, its record, its signatures, its bytes.

In come a registry, a store and references; out go versions, sheets and dossiers. Nothing here decides what may serve.
"""
