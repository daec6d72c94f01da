"""The options of an engine: their terms, what they are valued with, their values, once a beat."""
