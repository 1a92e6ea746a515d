"""What an operation must return, `(output, rules)`, and what it is told when it returned something else.

Without a check, `return x * 2` of an array with two rows would be taken apart into one row, the output, and another, the
rules; nobody would notice before backward(), and without a gradient nobody at all.
"""
import inspect

MEND = "end it with `return y, (lambda dy: ...,)`"


def check_returned(returned, operation, parameters, count):
    """Raises TypeError, with the operation's name, file and line and the mend, unless `returned` is (output, rules).

    parameters  the names of the parameters that may have a rule
    count       how many rules there must be, where the parameters are *arrays; else None
    """
    wrong = _wrong_form(returned) or _wrong_rules(returned[1]) or _wrong_count(len(returned[1]), parameters, count)
    if wrong:
        raise TypeError(f"{_place_of(operation)}: {wrong}")


def _wrong_form(returned):
    if not isinstance(returned, tuple) or len(returned) != 2:
        what = f"a tuple of {len(returned)}" if isinstance(returned, tuple) else _kind(returned)
        return f"it must return its output and a tuple of gradient rules, not {what}: {MEND}"
    if not hasattr(returned[0], "dtype") and not isinstance(returned[0], (int, float)):
        return f"its output must be an array, not {_kind(returned[0])}: {MEND}"
    return None


def _wrong_rules(rules):
    if not isinstance(rules, (tuple, list)):
        hint = "one rule makes a tuple with a comma, (rule,)" if callable(rules) else MEND
        return f"its gradient rules must be a tuple of functions, not {_kind(rules)}: {hint}"
    for i, rule in enumerate(rules):
        if not callable(rule) and rule is not None:
            return f"its gradient rule {i} must be a function of dy, not {_kind(rule)}: {MEND}"
    return None


def _wrong_count(given, parameters, count):
    if count is None and given > len(parameters):
        return (f"it returns {given} gradient rules for {len(parameters)} parameters ({', '.join(parameters)}): return no "
                "more than one for each")
    if count is not None and given != count:
        return f"it returns {given} gradient rules for {count} arrays: return one for each, None for those without"
    return None


def _kind(thing):
    if hasattr(thing, "shape"):
        return f"an array of shape {tuple(thing.shape)}"
    return "a function" if callable(thing) else f"one {type(thing).__name__}"


def _place_of(operation):
    """'double (my.py, line 12)', where there is a text that it was written in."""
    code = getattr(inspect.unwrap(operation), "__code__", None)
    return f"{operation.__name__} ({code.co_filename}, line {code.co_firstlineno})" if code else operation.__name__
