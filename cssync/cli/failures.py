"""cssync failures and history."""

from __future__ import annotations

from dataclasses import asdict

import click

from cssync.cli.context import Call, example, shared


@click.command(
    epilog=example(
        "cssync failures", "cssync failures retry p-1f0c22ab/7", 'cssync failures drop --all --reason "left us"'
    )
)
@click.argument(
    "what", type=click.Choice(["list", "retry", "drop"]), default="list", help="list (default), retry or drop."
)
@click.argument("keys", nargs=-1, metavar="[KEY]...", help="Keys as listed, or the start of one, such as a plan's id.")
@click.option("--all", "every", is_flag=True, help="All that are listed.")
@click.option("--reason", help="Why they are dropped; kept in the history.")
@shared
def failures(call: Call, what: str, keys: tuple[str, ...], every: bool, reason: str | None) -> int:
    """List, retry or drop writes that failed.

    A write that the vendor refused is not tried again until its value or its target changes. `retry` lifts that: the
    next plan proposes it. `drop` gives it up for as long as the value stays the same.
    """
    from cssync.cli.work import working
    from cssync.views.plan import entry_document, failure_lines
    from cssync.writeback.failures import account_names, drop, failing, record_links, retry

    if what == "list":
        with call.store(call.workspace(secrets=False)) as store:
            found = failing(store, keys)
            names, links = account_names(store), record_links(store, found)
            unread = store.query("SELECT count(*) FROM quarantine")[0][0]
        call.show(
            {"failures": [entry_document(e) | {"link": links.get((e.connection, e.source_id))} for e in found]},
            (
                *(failure_lines(found, names, links) if found else ("no write has failed",)),
                *(
                    (f"records that could not be read: {unread:,}; `cssync quarantine list` says which",)
                    if unread
                    else ()
                ),
            ),
        )
        return 0
    if not keys and not every:
        raise click.UsageError(f"name what to {what}: keys as `cssync failures` lists them, or --all")
    if what == "drop" and not reason:
        raise click.UsageError("drop needs --reason; it is kept in the history")
    call.store(call.workspace(secrets=False)).close()
    with working(call, f"failures {what}") as work:
        touched = (
            retry(work.store, keys, fence=work.lease)
            if what == "retry"
            else drop(work.store, keys, reason or "", fence=work.lease)
        )
    done = "will be in the next plan" if what == "retry" else "dropped"
    told = [f"{entry.key}: {done}" for entry in touched] or ["no write has failed"]
    call.show({what: [entry.key for entry in touched]}, told)
    return 0


@click.command(epilog=example("cssync history Acme", "cssync history crm:4711 --json"))
@click.argument("account", help="Uid or name of the account, or the id of one of its records.")
@shared
def history(call: Call, account: str) -> int:
    """List what was written for an account: every field and task, old and new value, why, and what became of it.

    What plans left alone is listed too: a person's value that was kept, a write the vendor refused, a stopped undo.
    It reaches back at least 400 days.
    """
    from cssync.link.find import find_account
    from cssync.views.plan import entry_document, entry_lines, left_lines
    from cssync.writeback.failures import account_names, left_alone, written_for

    with call.store(call.workspace(secrets=False)) as store:
        uid = find_account(store, account)
        found = written_for(store, uid)
        kept = left_alone(store, uid)
        names = account_names(store)
    call.show(
        {
            "account_uid": uid,
            "account": names.get(uid),
            "writes": [entry_document(entry) for entry in found],
            "left_alone": [asdict(item) for item in kept],
        },
        (*(entry_lines(found, names) if found else ("nothing was written for this account",)), *left_lines(kept)),
    )
    return 0
