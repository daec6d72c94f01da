"""What one unit of each instrument is worth, times what is held."""
