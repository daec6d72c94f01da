"""The made-up house of the demo."""
