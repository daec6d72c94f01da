"""What to begin with: a notebook in Python, and a query for Excel."""
