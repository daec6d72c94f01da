"""Files that people load: lines, columns, times and records."""
