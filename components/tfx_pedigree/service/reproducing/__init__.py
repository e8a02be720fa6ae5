"""A version made once more: what its lineage recorded is brought together again, and what comes out is compared.

In come a version and a folder that is its own; out goes how far the same came out, and what differed. It never writes
into the repository that the code comes from, nor a version into the registry that the version is in.
"""
