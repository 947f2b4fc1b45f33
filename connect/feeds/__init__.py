"""API feeds: one module a system, each a `Source` of `contract`; `runner` lands what they read.

Feeds never import each other.
"""
