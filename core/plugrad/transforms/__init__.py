"""Transforms: levels that interpret ops, above the graph."""
