"""How trades come in: room reserved, stored, handed to the writer; ours and those of other programs."""
