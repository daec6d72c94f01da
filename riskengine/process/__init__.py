"""Assembly and lifetime of one running engine."""
