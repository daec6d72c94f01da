"""One question and its answer: parameters, fields, encodings, problems."""
