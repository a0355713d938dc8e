"""What is written: `files` whole or not at all, `pictures` of images, self-contained `pages`."""
