"""Style transfer: the content of one picture, made of what others are made of; by descent, or in one pass once learned."""
from .recipes import StyleRecipe, recipe_for
from .transfer import Style, Transfer, stylize
