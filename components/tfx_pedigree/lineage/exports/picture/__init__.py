"""The picture of a lineage: what is folded into which box, and in which column and order the boxes stand.

In: a subgraph. Out: plain data that the page's script draws, and the page itself. Never: loads anything.
"""
