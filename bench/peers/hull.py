"""The Pareto hull of a sweep, and the speed on it at a recall."""
import math


def hull(points):
    """Keep the (recall, qps) pairs that no other beats in both; by rising recall, falling qps."""
    kept = []
    for recall, qps in sorted(points, key=lambda p: (-p[0], -p[1])):
        if not kept or qps > kept[-1][1]:
            kept.append((recall, qps))
    return kept[::-1]


def at(points, target):
    """(qps, exact): speed at a recall, linear in log(qps) between neighbours on the hull.

    None where the target is never reached; exact is False where even the fastest point is above the
    target, so that qps is only a lower bound.
    """
    front = hull(points)
    if not front or front[-1][0] < target:
        return None
    if front[0][0] >= target:
        return front[0][1], front[0][0] == target
    for (r0, q0), (r1, q1) in zip(front, front[1:]):
        if r0 <= target <= r1:
            share = (target - r0) / (r1 - r0)
            return math.exp((1 - share) * math.log(q0) + share * math.log(q1)), True
    return None
