"""The champion as an artifact. In: a registry and a model's name. Out: its bytes, verified, as a Trainer's Model, or
the word that there is none. Never: changes the registry, or answers from a cache.
"""
