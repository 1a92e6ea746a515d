"""Files: written whole or not at all, weights as safetensors, fetched and checked, other people's weights as data."""
