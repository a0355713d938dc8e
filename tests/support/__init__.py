"""What tests share: data that they make, commands and servers that they start."""
