"""Where a version comes from, and what came of what: a graph in the registry's database, and the questions to it.

In: fragments, as components and importers observed them; questions about nodes. Out: subgraphs, sentences, pictures.
Never: changes or deletes a node or an edge, moves a version, or loads more of the graph than the answer takes.
"""
