"""Mappings: TOML files that say how a file of other people's making reads, and the reading by them."""
