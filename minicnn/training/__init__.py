"""Learning: the training loop of a classifier, its checkpoints, and the measures of what it learned."""
from .classifier import Settings, Training, accuracy, finished_first, predict, recognised
