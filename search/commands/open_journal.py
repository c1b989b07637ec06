"""Open the event log of a search that begins or goes on."""

from __future__ import annotations

from dataclasses import asdict

from search.cluster.slots import Resources
from search.log.events import EventLog, begin_log, new_event
from search.log.folder import EVENTS
from search.log.history import History, Journal
from search.planning.plan import Plan
from search.planning.resume import header, versions


def open_journal(plan: Plan, resources: Resources) -> tuple[Journal, EventLog]:
    """Open the journal and write this driver's first event.

    Args:
        plan: With `--resume`, `plan.earlier` is what earlier drivers wrote.
        resources: Are written into the event.

    Returns:
        The journal, and the log that it writes to, which the caller closes.
    """
    path, options = plan.folder.local / EVENTS, plan.options
    slots = {"slots": resources.max_concurrent, "cpus": resources.cpus, "gpus": resources.gpus}
    if options.resume:
        log = EventLog(path)
        journal = Journal(plan.earlier, log)
        fields = {"n_trials": plan.n_trials, "versions": versions()}
        journal.write("resumed", options=asdict(options), **fields, **slots)
        return journal, log
    first = new_event("search", **slots, **header(plan))
    events = [first, *(new_event("imported", **trial) for trial in plan.carried)]
    begin_log(path, events)
    log = EventLog(path)
    return Journal(History(events), log), log
