"""Versions and tags of a git repository, kept in step both ways.

In come a registry and a repository; out go tags there and promotions here. Nothing here pushes.
"""
