"""Engine against store, store against statements: found, confirmed, repaired."""
