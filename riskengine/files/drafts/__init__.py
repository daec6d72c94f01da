"""First mappings of strange files: what a file seems to be, with evidence, doubts and questions. Loads nothing."""
