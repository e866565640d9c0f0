"""The determinism audit: the same work done again and in other ways, live, and what differs. Judges nothing."""
