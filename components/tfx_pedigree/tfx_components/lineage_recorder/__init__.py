"""The run as a piece of the lineage graph. In: a version, what it was made from, what judged it, what came of it.
Out: the graph's new nodes and edges, and the same as a file. Never: changes a version, or records a secret.
"""
