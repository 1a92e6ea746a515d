"""A checkpoint: the state of a run on its way, as a safetensors file that says what run it is of.

Its metadata hold three things: of what `kind` the run is, the settings that its result depends on, and the place it has got
to.  So a file that belongs to another run is refused before anything is taken from it.
"""
import json

from . import weights

KEY = "checkpoint"                               # in the metadata: what kind of run the file is a checkpoint of
MOST_DIFFERENCES = 5                             # that an error names


def save(path, kind, settings, arrays, place):
    """Write a checkpoint, whole or not at all.

    kind       of the run, a few words: "training", "style transfer"
    settings   {name: value} of what the result depends on, also nested;  place: where it stands.  Both as JSON can say it
    arrays     {name: array}
    Raises WriteError when the file cannot be written.
    """
    weights.save(arrays, path, {KEY: kind, "settings": json.dumps(settings), "place": json.dumps(place)})


def read(path, kind, settings):
    """(arrays, place) as they were given to `save`, each array in the dtype that it had.

    Raises FileNotFoundError when there is no file; ValueError, which names the file and the mend, for one that is damaged,
    no checkpoint at all, or of a run of another kind or with other settings.
    """
    arrays, metadata = weights.read(path, dtype=None)
    _require_kind(kind_of(metadata), kind, path)
    try:
        saved, place = json.loads(metadata["settings"]), json.loads(metadata["place"])
        different = _differences(saved, json.loads(json.dumps(settings)))
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise damaged(path, error) from error
    if different:
        raise ValueError(f"{path} is a {kind} run with other settings ({'; '.join(different)}): resume with the same ones, "
                         "or start anew under another name")
    return arrays, place


def kind_of(metadata):
    """Of what kind of run a file with these metadata is a checkpoint; None where it is none."""
    return metadata.get(KEY)


def damaged(path, error):
    """The ValueError for a checkpoint that leads to another error."""
    return ValueError(f"{path} is damaged: delete it, and begin anew without --resume ({type(error).__name__}: {error})")


def _require_kind(found, wanted, path):
    if found is None:
        raise ValueError(f"{path} holds weights but no {wanted} run: it cannot be resumed, name the checkpoint of one")
    if found != wanted:
        raise ValueError(f"{path} is the checkpoint of a {found} run, not of a {wanted} run: the command that wrote it goes "
                         "on from there with --resume")


def _differences(saved, wanted):
    """['lr was 0.1, now 0.2', 'recipe.loss was w2, now gram', ...], at most MOST_DIFFERENCES of them."""
    saved, wanted = dict(_flat(saved)), dict(_flat(wanted))
    names = [name for name in {**saved, **wanted} if saved.get(name) != wanted.get(name)]
    told = [f"{name} was {saved.get(name, 'absent')}, now {wanted.get(name, 'absent')}" for name in names[:MOST_DIFFERENCES]]
    return told + [f"and {len(names) - len(told)} more"] * (len(names) > len(told))


def _flat(settings, prefix=""):
    """Pairs (name, value): {"recipe": {"lr": 1}} has ("recipe.lr", 1)."""
    for name, value in settings.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


# ---- Several states in one -----------------------------------------------------------------------------------------------

def joined_state(**owners):
    """The arrays of all owners of a `state_dict`, {"model.weight": array, "optimizer.0.velocity": array}."""
    return {f"{part}.{name}": array for part, owner in owners.items() for name, array in owner.state_dict().items()}


def load_joined_state(arrays, **owners):
    """Give each owner back what `joined_state` took from it.  Raises ValueError where it does not fit."""
    for part, owner in owners.items():
        owner.load_state_dict({name.removeprefix(f"{part}."): array for name, array in arrays.items()
                               if name.startswith(f"{part}.")})
