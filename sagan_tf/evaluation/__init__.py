"""Images -> numbers that say how good they are."""
