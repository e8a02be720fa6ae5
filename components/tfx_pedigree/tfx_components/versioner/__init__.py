"""Every trained model becomes a version. In: a model and what it was made from. Out: its number and its record, its
bytes in the store. Never: registers, promotes, or gives the same bytes a second number.
"""
