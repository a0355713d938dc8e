"""From a trained generator to images over HTTP: export, server and client."""
