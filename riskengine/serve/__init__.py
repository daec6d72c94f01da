"""HTTP and websockets: gateway < answers < access < routes < stream."""
