"""Learning: the training loop of a classifier, its checkpoints, and the measures of what it learned."""
from .classifier import Training, TrainingSettings
from .prediction import accuracy, predict, recognised
from .run import Run
