"""The best of all champions so far, measured beside the challenger, where the policy has `never_below`. In: the log of
earlier decisions. Out: its bytes, and TFMA's evaluation of both. Never: decides, or costs anything where the champion
itself is the best one.
"""
