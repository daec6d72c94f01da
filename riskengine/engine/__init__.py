"""What the writer thread owns: inbox, writer, engine, self-audit."""
