"""The sockets: HTTP, the stream to screens and the way in for publishers. Stands on `gateway` alone, blind to the store."""
