"""A handler for each route."""
