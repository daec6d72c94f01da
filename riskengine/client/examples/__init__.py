"""Examples to start from: a Python notebook, and a query for Excel."""
