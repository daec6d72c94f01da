"""What a screen can subscribe to: rows, versions, changes, access classes. No socket, no clock."""
