"""Two recordings side by side: what differs, by how much, and whether that may pass. Tables in, tables out."""
