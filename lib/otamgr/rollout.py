# SPDX-License-Identifier: MIT
"""Roll-outs in a target's custom metadata: who may begin with it when. Devices read them as docs/source-repository.md says."""

import datetime

TIME = "%Y-%m-%dT%H:%M:%SZ"


def written(moment):
    return moment.strftime(TIME)


def read(text):
    return datetime.datetime.strptime(text, TIME).replace(tzinfo=datetime.UTC)


def planned(start, phases=None, windows=()):
    """A roll-out that runs; phases are (share in percent, hours), the last one without hours."""
    return {
        "start": written(start),
        "state": "running",
        # Metadata has no fractions: shares are in thousandths of a percent.
        "phases": [
            {"share": round(share * 1000), **({"hours": hours} if hours else {})}
            for share, hours in phases or [(100, None)]
        ],
        **({"windows": list(windows)} if windows else {}),
    }


def changed(rollout, state, now):
    """
    The roll-out in another state. One that goes on after a halt does so where it stood: the phases that are still to come are
    later by as long as it was halted, or else all devices would begin at once after a halt over a week-end.
    """
    out = {**rollout, "state": state}
    if state == "running":
        stopped = out.pop("halted", None)
        if stopped:
            start = read(out["start"])
            pause = now - max(read(stopped), start)
            out["start"] = written(start + max(pause, datetime.timedelta()))
    else:
        out.setdefault("halted", written(now))
    return out
