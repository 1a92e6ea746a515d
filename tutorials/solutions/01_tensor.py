"""Solutions to the exercises of lesson 01, "A tensor that remembers".      python tutorials/solutions/01_tensor.py"""
import numpy as np

import minicnn as mc

rng = np.random.default_rng(0)


# ---- 1. An operation of your own -------------------------------------------------------------------------------------

@mc.differentiable
def tanh(x):
    """The slope of tanh is 1 - tanh^2: what the forward pass has computed is all that the rule needs."""
    y = np.tanh(x)
    return y, (lambda dy: dy * (1 - y * y),)                # the comma: a tuple of one rule


assert mc.gradcheck(tanh, rng.normal(size=(3, 4))).error < 1e-6


# ---- 2. The matrix product -------------------------------------------------------------------------------------------

@mc.differentiable
def matmul(a, b):
    """a (m, k) @ b (k, n)  ->  (m, n).

    Why it is so, and not only why it fits: y[i, j] = sum over l of a[i, l] b[l, j].  So a[i, l] takes part in the whole
    row i of y, each time multiplied with b[l, j]:  da[i, l] = sum over j of dy[i, j] b[l, j], and that is dy @ b.T.
    """
    def grad_a(dy): return dy @ b.T                         # (m, n) @ (n, k)  ->  (m, k)
    def grad_b(dy): return a.T @ dy                         # (k, m) @ (m, n)  ->  (k, n)
    return a @ b, (grad_a, grad_b)


assert mc.gradcheck(matmul, rng.normal(size=(4, 3)), rng.normal(size=(3, 2))).error < 1e-6


# The hint fails for square matrices, where everything fits everything.  This one has the right shapes and is wrong:

@mc.differentiable
def matmul_by_shapes(a, b):
    return a @ b, (lambda dy: dy @ b, lambda dy: a @ dy)


try:
    mc.gradcheck(matmul_by_shapes, rng.normal(size=(3, 3)), rng.normal(size=(3, 3)))
    noticed = False
except AssertionError as error:
    noticed = "wrong" in str(error)
assert noticed


# ---- 3. Ten thousand steps -------------------------------------------------------------------------------------------

class Value:
    def __init__(self, data, sources=(), rules=()):
        self.data, self.sources, self.rules, self.grad = np.asarray(data, dtype=float), sources, rules, 0.0


def add(a, b):
    return Value(a.data + b.data, (a, b), (lambda dy: dy, lambda dy: dy))


def backward_order(end):
    """Each value before those that it was made from, without recursion (Kahn 1962): first count the uses, then give
    every value its turn when all its uses had theirs."""
    uses, waiting = {end: 0}, [end]
    while waiting:
        for source in waiting.pop().sources:
            if source not in uses:
                uses[source] = 0
                waiting.append(source)
            uses[source] += 1
    order, ready = [], [end]
    while ready:
        order.append(ready.pop())
        for source in order[-1].sources:
            uses[source] -= 1
            if uses[source] == 0:
                ready.append(source)
    return order


def backward(end):
    end.grad = np.ones_like(end.data)
    for value in backward_order(end):
        for source, rule in zip(value.sources, value.rules):
            source.grad = source.grad + rule(value.grad)


x = end = Value(1)
for _ in range(10_000):
    end = add(end, x)
backward(end)
assert x.grad == 10_001                                     # x is in the sum 10,001 times

x = end = Value(1)
for _ in range(60):
    end = add(end, end)
backward(end)
assert x.grad == 2.0 ** 60                                  # and diamonds are still visited once


# ---- 4. A bug to plant -----------------------------------------------------------------------------------------------

BUGS = {"return dy": lambda dy: dy,
        "return dy[0]": lambda dy: dy[0],
        "return dy.mean(axis=0)": lambda dy: dy.mean(axis=0)}


def checks_that_scream(rule, rows):
    """The names of the checks that notice this rule for b, in x (rows, 3) + b (3,)."""
    @mc.differentiable
    def add_row(x, b):
        return x + b, (lambda dy: dy, rule)
    x, b, dy = rng.normal(size=(rows, 3)), rng.normal(size=3), rng.normal(size=(rows, 3))
    checks = {"shape": lambda: np.shape(rule(dy)) == b.shape,
              "values": lambda: np.allclose(rule(dy), dy.sum(axis=0)),
              "gradcheck": lambda: passes_gradcheck(add_row, x, b)}
    return [name for name, fine in checks.items() if not fine()]


def passes_gradcheck(function, *inputs):
    try:
        mc.gradcheck(function, *inputs)
        return True
    except mc.GradientError:
        return False


screams = {(name, rows): checks_that_scream(rule, rows) for name, rule in BUGS.items() for rows in (4, 1)}
for (name, rows), checks in screams.items():
    print(f"{name:24} {rows} row(s): {', '.join(checks) or 'silence'}")

# return dy                4 row(s): shape, values, gradcheck
# return dy                1 row(s): shape, gradcheck
# return dy[0]             4 row(s): values, gradcheck
# return dy[0]             1 row(s): silence
# return dy.mean(axis=0)   4 row(s): values, gradcheck
# return dy.mean(axis=0)   1 row(s): silence
#
# Nothing crashes in your own Value: `0.0 + dy` takes any shape, and then `b.data - rate * b.grad` quietly turns b from
# one row into four.  With a batch of one row a sum, a mean and the first element are the same: even gradcheck is blind
# there, and comparing values (np.allclose broadcasts!) does not even see the wrong shape.  So: never check with a batch
# of one.
assert screams["return dy", 4] == ["shape", "values", "gradcheck"] and screams["return dy", 1] == ["shape", "gradcheck"]
assert screams["return dy[0]", 4] == screams["return dy.mean(axis=0)", 4] == ["values", "gradcheck"]
assert screams["return dy[0]", 1] == screams["return dy.mean(axis=0)", 1] == []
