"""Style transfer: the content of one picture, made of what others are made of; by descent, or in one pass once learned."""
from .recipes import recipe_for
from .transfer import Style, StyleRecipe, Transfer, stylize
