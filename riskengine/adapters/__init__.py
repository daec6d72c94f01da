"""Edges that bring data in and keep it: stores, files, feeds. Blind to `serve`."""
