"""Two versions side by side in one job: each in a process of its own, their live queries interleaved."""
