"""One model of a service, from the outside: a handle with coroutines, and one without."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Sequence
from functools import partial
from typing import Any, Self
from urllib.parse import quote

from service.client.answers import Comparison, SuspectRows
from service.client.asking import Asking
from service.client.blocking import Blocking, blocking, blocking_list
from service.client.errors import ClientError, Conflict, NotFound
from service.client.exported import exported_model
from service.client.handle import Facts, given
from service.client.learning import Learning
from service.client.result import Result
from service.client.rows.picture_rows import opened
from service.client.rows.values import in_a_list, labels_in_a_list, plain_labels
from service.client.waiting import FINAL, OnProgress, looks, now, until_final
from service.contract.enums import DisputeState, UpdateState
from service.contract.reports.facts import Certificate
from service.contract.resources import Batch, Model, ModelDispute, Page, Suspects, Update
from service.contract.version_resources import Alias, Deployment, Lineage, RolledBack, Version, VersionSummary, WayBack
from service.remedies import Door, worded

WATCHED = 20
"""Latest updates of a model that `watch` looks at."""
WATCH_SECONDS = 1.0
SHOWN = 8
"""Columns that a sentence names; the rest are counted."""


def _in_python(dispute: ModelDispute) -> ModelDispute:
    """The dispute with what to do in the words of this client."""
    return dispute.model_copy(update={"remedy": worded(dispute.remedy, Door.PYTHON, dispute.model)})


class AsyncModel(Asking, Learning):
    """A handle, made by `AsyncClient.model`. `RemoteModel` has the same methods without `await`."""

    def at(self, version: int | str) -> Self:
        """The same model pinned to a version: predictions and reports are that one's. Raises ValueError for
        "latest"."""
        if version == "latest":
            raise ValueError(
                'No version is called "latest": the newest one may be held or rejected. Say "live", "previous", a '
                "number or an alias."
            )
        return type(self)(self._transport, self.name, self._facts, None if version == "live" else version)

    async def configure(self, /, **changes: Any) -> Model:
        """Change `method`, `gate`, `promotion` or `retention`; of a target that is numbers, yardstick and level."""
        return await self._transport.call("PATCH", self._path, Model, changes)

    async def archive(self) -> None:
        """Stop serving it. Its name stays taken, unless it never had rows; `restore` brings it back."""
        await self._transport.send("DELETE", self._path)

    async def restore(self) -> Model:
        """Bring it back from the archive. Raises Conflict while one of its updates has not ended."""
        return await self._transport.call("POST", f"{self._path}/restore", Model)

    async def compare(
        self, first: int | str, second: int | str = "live", inputs: Any = None, labels: Any = None
    ) -> Comparison:
        """Two versions beside each other: what each knows, and, of rows, where they answer differently and how many
        answers are right. labels: left out where a column of a file or frame holds them."""
        versions = await self.version(first), await self.version(second)
        if inputs is None:
            return Comparison(*versions, 0, [], None, (await self.facts()).predicts)
        inputs, labels = opened(in_a_list(inputs), labels_in_a_list(labels))
        one, other = [await self.predict(inputs, version=version.number) for version in versions]
        known = plain_labels(labels) if labels is not None else one.right({*versions[0].classes, *versions[1].classes})
        return Comparison.of(versions, (one, other), known)

    # What is live

    async def promote(self, version: int, reason: str = "", *, if_live: int | None = None) -> Deployment:
        """Make a version live by hand. Raises LiveMoved when another version is live than `if_live`."""
        body = given(version=version, reason=reason, if_live=if_live)
        made = await self._transport.call("POST", f"{self._path}/deployments", Deployment, body)
        return made.model_copy(update={"note": worded(made.note, Door.PYTHON, self.name)})

    async def rebase(
        self, version: int, *, wait: float | None = 600.0, on_progress: OnProgress | None = None
    ) -> Update:
        """Learn a version that waits, or was set aside, again on the one that is live, where another went live since it
        was made: nothing of either is left out, and the gate judges anew. Waits as `push` does."""
        body = {"version": version, "rebase": True}
        update = await self._transport.call("POST", f"{self._path}/deployments", Update, body)
        return update if wait is None else await until_final(self._transport, update, wait, on_progress)

    async def rollback(self, reason: str = "", *, to: int | None = None, if_live: int | None = None) -> RolledBack:
        """Undo the latest promotion that is not yet undone; the version before answers from now on."""
        body = given(reason=reason, to=to, if_live=if_live)
        return await self._transport.call("POST", f"{self._path}/rollback", RolledBack, body)

    async def way_back(self, to: int | None = None) -> WayBack:
        """What `rollback` would do now; nothing changes."""
        return await self._transport.call("GET", f"{self._path}/rollback", WayBack, to=to)

    async def settle_dispute(self, dispute: str, verdict: str, reason: str) -> ModelDispute:
        """Say that disputed labels are right ("confirmed") or wrong ("refuted"), and why."""
        path = f"{self._path}/disputes/{quote(dispute, safe='')}/settle"
        order = {"verdict": verdict, "reason": reason}
        return _in_python(await self._transport.call("POST", path, ModelDispute, order))

    # Names for versions: each stands for the number of its version, as `live` and `previous` do

    async def set_alias(self, name: str, version: int) -> Alias:
        """Point a name at a version, whether the name is new or not."""
        path = f"{self._path}/aliases/{quote(name, safe='')}"
        return await self._transport.call("PUT", path, Alias, {"version": version})

    def aliases(self) -> AsyncIterator[Alias]:
        """All names that people gave, newest first."""
        return self._transport.each(f"{self._path}/aliases", Page[Alias])

    async def delete_alias(self, name: str) -> None:
        """Forget a name; its version stays."""
        await self._transport.send("DELETE", f"{self._path}/aliases/{quote(name, safe='')}")

    # Looking

    def batches(self, source: str | None = None, waiting: bool = False) -> AsyncIterator[Batch]:
        """All batches, newest first; those of one source, or those that wait to be learned."""
        return self._transport.each(f"{self._path}/batches", Page[Batch], source=source, waiting=waiting or None)

    async def batch(self, batch: str) -> Batch:
        """A batch: its rows, state and what became of it. Raises NotFound."""
        return await self._transport.call("GET", f"{self._path}/batches/{quote(batch, safe='')}", Batch)

    async def suspects(self, batch: str) -> SuspectRows:
        """Rows of a batch that most likely carry a wrong label or, where targets are numbers, one far from what was
        expected; the likeliest first, and what they were judged by (`note`). `correct` mends them."""
        path = f"{self._path}/batches/{quote(batch, safe='')}/suspects"
        first = await self._transport.call("GET", path, Suspects)
        rows = [*first.items]
        if first.next_cursor is not None:
            rows += [row async for row in self._transport.each(path, Suspects, cursor=first.next_cursor)]
        return SuspectRows(rows, worded(first.note, Door.PYTHON), first.version)

    def updates(self, state: UpdateState | str | None = None) -> AsyncIterator[Update]:
        """All updates, newest first."""
        return self._transport.each(f"{self._path}/updates", Page[Update], state=state)

    async def watch(self, update: Update | str | None = None) -> AsyncIterator[Update]:
        """An update again and again, whenever it has changed, until it is final; without one, each update of the model
        that changes, for ever."""
        seen: dict[str, Update] = {}
        if update is not None:
            async for look in looks(self._transport, update):
                if seen.get(look.id) != look:
                    seen[look.id] = look
                    yield look
            return
        first = True
        while True:
            latest = await self._transport.call("GET", f"{self._path}/updates", Page[Update], limit=WATCHED)
            changed = [look for look in reversed(latest.items) if seen.get(look.id) != look]
            seen = {look.id: look for look in latest.items}
            for look in changed:
                if not first or look.state not in FINAL:
                    yield look
            first = False
            await self._transport.pause(WATCH_SECONDS)

    async def disputes(self, state: DisputeState | str | None = None) -> AsyncIterator[ModelDispute]:
        """What held updates dispute, and how it was settled, newest first."""
        async for dispute in self._transport.each(f"{self._path}/disputes", Page[ModelDispute], state=state):
            yield _in_python(dispute)

    def versions(self) -> AsyncIterator[Version]:
        """All versions, newest first."""
        return self._transport.each(f"{self._path}/versions", Page[Version])

    def version_summaries(self) -> AsyncIterator[VersionSummary]:
        """All versions, newest first, without `batches` and `shards`: after thousands of updates these names are
        megabytes a page."""
        return self._transport.each(f"{self._path}/versions", Page[VersionSummary], batches="false")

    def deployments(self) -> AsyncIterator[Deployment]:
        """How the live pointer moved, newest first."""
        return self._transport.each(f"{self._path}/deployments", Page[Deployment])

    async def version(self, number: int | str | None = None) -> Version:
        """One version, by number or alias, else the live one: what it learned, its columns, its report."""
        return await self._transport.call("GET", self._version(self._pinned(number)), Version)

    async def report(self, version: int | str | None = None) -> Result | None:
        """The report card of a version, else of the live one; None for one that was imported."""
        made = await self.version(version)
        return None if made.update is None else self._result(await now(self._transport, made.update))

    async def lineage(self, after: int = 0) -> Lineage:
        """Which version came from which; of versions with a higher number than `after`."""
        return await self._transport.call("GET", f"{self._path}/lineage", Lineage, after=after)

    async def certificate(self, version: int | str | None = None) -> Certificate | None:
        """The certificate of the retraction that made this version; None for any other version."""
        report = (await self.version(version)).report
        return report.certificate if report else None

    async def weights(self, version: int | str | None = None, *, whole: bool = False) -> bytes:
        """The version as safetensors: what `import_version` of another model of the same input takes.

        Weights of a pretrained backbone that are those that are installed are left out, since the service that takes
        the file in has them; whole=True puts them in.
        """
        params = {"whole": "true"} if whole else {}
        path = f"{self._version(self._pinned(version))}/weights"
        return (await self._transport.send("GET", path, **params)).content

    async def import_version(
        self,
        weights: bytes,
        *,
        architecture: dict[str, Any] | None = None,
        classes: Sequence[str] | None = None,
        scale: dict[str, Any] | None = None,
        promote: bool = False,
        reason: str | None = None,
    ) -> Version:
        """Take in a safetensors file as a version; live only by `promote`, here or later.

        A file that `weights` gave says what it is, and makes the model where there is none. Of any other, name the
        architecture, such as {"backbone": {"name": "mlp", "hidden": [256]}}, and the classes in the order of its
        outputs; or its metadata names them.
        """
        fields = given(architecture=architecture, classes=None if classes is None else list(classes), scale=scale)
        params = given(promote="true" if promote else None, reason=reason)
        call = partial(self._transport.upload, f"{self._path}/versions", weights, fields, **params)
        try:
            answer = await call()
        except NotFound as missing:
            if type(missing) is not NotFound or not await self._made_for(weights):
                raise
            try:
                answer = await call()
            except ClientError:
                await self._unmade()
                raise
        return Version.model_validate_json(answer.content)

    async def _made_for(self, weights: bytes) -> bool:
        """Makes the model where there is none, as an exported file says. -> whether it was made"""
        if (settings := exported_model(weights)) is None:
            return False
        try:
            made = await self._transport.call("POST", "/v1/models", Model, {"name": self.name, **settings})
        except Conflict:  # it is archived
            return False
        self._facts = Facts.of(made)
        names = [*self._facts.columns]
        shown = [*names[:SHOWN], *([f"{len(names) - SHOWN:,} more"] if len(names) > SHOWN else [])]
        columns = f": {', '.join(shown)}" if names else ""
        says = f"for inputs of kind {made.input.kind}, as the file says{columns}."
        left_out = f" It leaves out {', '.join(made.leave_out)}." if made.leave_out else ""
        print(f"New model {self.name}, {says}{left_out}", file=sys.stderr)
        return True

    async def ledger(self, version: int | str | None = None) -> bytes:
        """(G, Q, n) and the class names of everything that the version holds, as safetensors: what `merge` takes."""
        return (await self._transport.send("GET", f"{self._version(self._pinned(version))}/ledger")).content


class RemoteModel(Blocking[AsyncModel]):
    """A handle: it holds a name and asks the service each time, but for what the model takes and predicts, which never
    changes. Made by `Client.model` and `Client.create_model`."""

    @property
    def name(self) -> str:
        """The name of the model."""
        return self._core.name

    def at(self, version: int | str) -> RemoteModel:
        """The same model pinned to a version: predictions and reports are that one's. Raises ValueError for
        "latest"."""
        return RemoteModel(self._core.at(version))

    push = blocking(AsyncModel.push)
    update = blocking(AsyncModel.update)
    add_batch = blocking(AsyncModel.add_batch)
    declare = blocking(AsyncModel.declare)
    delete_class = blocking(AsyncModel.delete_class)
    retract = blocking(AsyncModel.retract)
    erase = blocking(AsyncModel.erase)
    correct = blocking(AsyncModel.correct)
    merge = blocking(AsyncModel.merge)
    info = blocking(AsyncModel.info)
    configure = blocking(AsyncModel.configure)
    archive = blocking(AsyncModel.archive)
    restore = blocking(AsyncModel.restore)
    predict = blocking(AsyncModel.predict)
    predict_proba = blocking(AsyncModel.predict_proba)
    compare = blocking(AsyncModel.compare)
    promote = blocking(AsyncModel.promote)
    rebase = blocking(AsyncModel.rebase)
    rollback = blocking(AsyncModel.rollback)
    way_back = blocking(AsyncModel.way_back)
    settle_dispute = blocking(AsyncModel.settle_dispute)
    set_alias = blocking(AsyncModel.set_alias)
    aliases = blocking_list(AsyncModel.aliases)
    delete_alias = blocking(AsyncModel.delete_alias)
    batches = blocking_list(AsyncModel.batches)
    batch = blocking(AsyncModel.batch)
    suspects = blocking(AsyncModel.suspects)
    updates = blocking_list(AsyncModel.updates)
    watch = blocking_list(AsyncModel.watch)
    disputes = blocking_list(AsyncModel.disputes)
    versions = blocking_list(AsyncModel.versions)
    version_summaries = blocking_list(AsyncModel.version_summaries)
    deployments = blocking_list(AsyncModel.deployments)
    version = blocking(AsyncModel.version)
    report = blocking(AsyncModel.report)
    lineage = blocking(AsyncModel.lineage)
    certificate = blocking(AsyncModel.certificate)
    weights = blocking(AsyncModel.weights)
    import_version = blocking(AsyncModel.import_version)
    ledger = blocking(AsyncModel.ledger)
