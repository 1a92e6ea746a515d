"""Files: written whole or not at all, weights as safetensors, downloaded and checked, other people's weights as data."""
