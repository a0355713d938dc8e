"""What a process computes on: its devices, its memory, the machines it works with."""
