"""Who may come in, from where, how often."""
