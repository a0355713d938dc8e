"""What is written: `files` whole or not at all, `pictures`, `films`, self-contained `pages`."""
