"""One model of a service, from the outside: learn, ask, roll back, take back."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, overload
from urllib.parse import quote

from pydantic import RootModel

from service.client.csv_file import check_in_file, check_no_columns, csv_file
from service.client.table_rows import are_dicts, is_frame, table_rows, whole
from service.client.transport import Transport
from service.client.values import are_numbers, plain, plain_labels, plain_targets
from service.client.waiting import OnProgress, until_final
from service.contract.enums import DisputeState, NewClasses, NewValues, UpdateState
from service.contract.report import Certificate, SuspectRow
from service.contract.resources import (
    Alias,
    Batch,
    Classes,
    Deployment,
    Lineage,
    Model,
    ModelDispute,
    NumberPredictions,
    Page,
    Predictions,
    RolledBack,
    Suspects,
    Update,
    Version,
)


class AnyPredictions(RootModel[NumberPredictions | Predictions]):
    """An answer to rows, of whichever kind the model is."""


class RemoteModel:
    """A handle: it holds a name and asks the service each time, but for what the model takes and predicts, which never
    changes. Made by `Client.model` and `Client.create_model`."""

    def __init__(
        self,
        transport: Transport,
        name: str,
        predicts: Literal["class", "number"] | None = None,
        takes: str | None = None,
    ) -> None:
        self.name = name
        self._transport = transport
        self._predicts, self._takes = predicts, takes
        self._path = f"/v1/models/{quote(name, safe='')}"

    def __repr__(self) -> str:
        return f"RemoteModel({self.name!r} at {self._transport.url})"

    def info(self) -> Model:
        """The model as it is now: live version, vocabulary, what is pending."""
        return self._transport.call("GET", self._path, Model)

    def configure(self, **changes: Any) -> Model:
        """Change `method`, `gate`, `promotion` or `retention`; of a target that is numbers, yardstick and level."""
        return self._transport.call("PATCH", self._path, Model, changes)

    def archive(self) -> None:
        """Stop serving it. Its name stays taken."""
        self._transport.send("DELETE", self._path)

    # Learning

    def update(
        self,
        inputs: Any = None,
        labels: Any = None,
        *,
        target: str | Sequence[str] | None = None,
        group: str | None = None,
        batches: Sequence[str] | str | None = None,
        groups: Any = None,
        new_classes: NewClasses | str | None = None,
        new_values: NewValues | str | None = None,
        source: str | None = None,
        expect: str | None = None,
        method: str | dict[str, Any] | None = None,
        seed: int | None = None,
        device: str | None = None,
        wait: float | None = 600.0,
        on_progress: OnProgress | None = None,
    ) -> Update:
        """Learn from rows, from stored batches (ids) or from everything that waits ("pending").

        inputs: n rows, lists or arrays; of a table dicts, or a frame of pandas or polars; texts; images as arrays
        [n, c, h, w] or the bytes of PNG or JPEG files. labels: n names, None where nobody knows; of a model that
        predicts numbers n numbers, or n lists of them. groups: what rows belong to that must not be learned from and
        judged by at once (a patient, a video, a document): n names, None for a row in none, or one name for all.
        Of a model of tables, `inputs` may be a CSV file, by its path or as bytes, which is streamed: `target` names the
        column of the labels or targets (or of each of several; else the one called target or label), `group` that of
        the groups.

        new_values: "refuse" refuses values of a category that no batch of the model has had, "take" takes them.
        expect: "relabel" says that labels of known inputs change on purpose; it needs a key with the scope promote.
        `method`: a name, or {"name": ..., parameter: ...}.
        Returns the update once it is final, with verdict and report; with `wait=None` at once, queued.
        Raises StillRunning, and UnknownLabels for labels that the vocabulary does not have (`new_classes="allow"` adds
        them).
        """
        options = _given(
            new_classes=new_classes, new_values=new_values, source=source, expect=expect, seed=seed, device=device
        )
        if (file := csv_file(inputs)) is not None:
            check_in_file(labels=labels, groups=groups, batches=batches)
            named = method if method is None or isinstance(method, str) else json.dumps(method)
            query = _given(target=target, group=group, method=named)
            return self._ordered("updates", file, wait, on_progress, **options, **query)
        check_no_columns(target=target, group=group)
        listed = batches if batches is None or isinstance(batches, str) else list(batches)
        chosen = {"name": method} if isinstance(method, str) else method
        body = {**self._described(inputs, labels, groups), **options, **_given(batches=listed, method=chosen)}
        return self._ordered("updates", body, wait, on_progress)

    def add_batch(
        self,
        inputs: Any,
        labels: Any = None,
        *,
        target: str | Sequence[str] | None = None,
        group: str | None = None,
        groups: Any = None,
        new_classes: NewClasses | str | None = None,
        new_values: NewValues | str | None = None,
        source: str | None = None,
        again: bool | None = None,
    ) -> Batch:
        """Store rows without learning them yet; rows whose label is None are no class's. All as of `update`."""
        options = _given(new_classes=new_classes, new_values=new_values, source=source, again=again)
        if (file := csv_file(inputs)) is not None:
            check_in_file(labels=labels, groups=groups)
            query = _given(target=target, group=group)
            return self._transport.call("POST", f"{self._path}/batches", Batch, file, **options, **query)
        check_no_columns(target=target, group=group)
        body = {**self._described(inputs, labels, groups), **options}
        return self._transport.call("POST", f"{self._path}/batches", Batch, body)

    def declare(self, *names: str) -> list[str]:
        """Add classes to the vocabulary before any rows of them. -> the vocabulary"""
        return self._transport.call("POST", f"{self._path}/classes", Classes, {"names": names}).classes

    def retract(
        self,
        batches: Sequence[str] | str,
        reason: str = "",
        *,
        erase: bool = False,
        wait: float | None = 600.0,
        on_progress: OnProgress | None = None,
    ) -> Update:
        """Take batches back out of what is served; the report holds the certificate."""
        ids = [batches] if isinstance(batches, str) else list(batches)
        body = {"batches": ids, "reason": reason, "erase": erase}
        return self._ordered("retractions", body, wait, on_progress)

    def correct(
        self,
        batch: str,
        rows: Mapping[int, str | int | bool | None],
        reason: str = "",
        *,
        wait: float | None = 600.0,
        on_progress: OnProgress | None = None,
    ) -> Update:
        """Give rows of a batch other labels, by their numbers, or take them out (None): one version is without the
        batch and with the corrected one."""
        labels = dict(zip(map(str, rows), plain_labels(list(rows.values())), strict=True))
        path = f"batches/{quote(batch, safe='')}/corrections"
        return self._ordered(path, {"rows": labels, "reason": reason}, wait, on_progress)

    def erase(self, batches: Sequence[str] | str, reason: str = "", *, wait: float | None = 600.0) -> Update:
        """Retract, then delete the rows and everything that was made of them."""
        return self.retract(batches, reason, erase=True, wait=wait)

    def merge(
        self,
        ledger: bytes | str | os.PathLike[str],
        reason: str = "",
        *,
        new_classes: NewClasses | str | None = None,
        source: str | None = None,
        if_live: int | None = None,
        wait: float | None = 600.0,
        on_progress: OnProgress | None = None,
    ) -> Update:
        """Learn from the ledger of another service, by its path or as bytes: sums of rows that are not here.

        They are a batch (`update.batches`), which `retract` takes back. Raises Conflict where they are of another
        feature space, or hold rows that count already; UnknownLabels as `update`.
        """
        data = ledger if isinstance(ledger, bytes) else Path(ledger).read_bytes()
        query = _given(reason=reason or None, new_classes=new_classes, source=source, if_live=if_live)
        return self._ordered("merges", data, wait, on_progress, **query)

    def _described(self, inputs: Any, labels: Any, groups: Any) -> dict[str, Any]:
        """Rows, and what is known of each, as members of a body."""
        return _given(inputs=self._rows(inputs), **self._annotated(labels), groups=plain_labels(groups))

    def _rows(self, inputs: Any) -> Any:
        """Rows as JSON. A frame is rows of a table or of numbers: the service says once which the model takes."""
        if are_dicts(inputs) or (is_frame(inputs) and self._takes_tables()):
            return table_rows(inputs)
        return plain(inputs)

    def _takes_tables(self) -> bool:
        if self._takes is None:
            self._takes = self.info().input.kind
        return self._takes == "table"

    def _annotated(self, labels: Any) -> dict[str, Any]:
        """Labels, or targets where the model predicts numbers. Whole numbers may be either: then the service says once
        what the model predicts."""
        named = plain_labels(labels)
        if not are_numbers(named):
            return {"labels": named}
        if self._predicts is None:
            self._predicts = self.info().target.kind
        if self._predicts == "number":
            return {"targets": plain_targets(named)}
        return {"labels": [whole(label) for label in named]}

    def _ordered(
        self, what: str, body: Any, wait: float | None, on_progress: OnProgress | None, **query: Any
    ) -> Update:
        at_once = None if wait is None else 0.0 if on_progress else min(wait, 30.0)
        update = self._transport.call("POST", f"{self._path}/{what}", Update, body, wait=at_once, **query)
        return update if wait is None else until_final(self._transport, update, wait, on_progress)

    # Asking

    @overload
    def predict(
        self, inputs: Any, *, top: int, version: int | str | None = None, source: str | None = None
    ) -> Predictions: ...

    @overload
    def predict(
        self, inputs: Any, *, level: float, version: int | str | None = None, source: str | None = None
    ) -> NumberPredictions: ...

    @overload
    def predict(
        self,
        inputs: Any,
        *,
        top: int | None = None,
        level: float | None = None,
        version: int | str | None = None,
        source: str | None = None,
    ) -> Predictions | NumberPredictions: ...

    def predict(
        self,
        inputs: Any,
        *,
        top: int | None = None,
        level: float | None = None,
        version: int | str | None = None,
        source: str | None = None,
    ) -> Predictions | NumberPredictions:
        """Predicts n rows by the live version, or by another one, named by its number or alias.

        -> Predictions of a model of classes: `top` lists more than the best class. NumberPredictions of a model of
        numbers, with `values` and `intervals`; `level` is the share of rows to come whose value an interval is meant to
        hold. `source` says where the rows come from, whose own head answers where there is one. Rows of a table may be
        a CSV file, by its path or as bytes.
        """
        path = self._path if version is None else self._version(version)
        if (file := csv_file(inputs)) is not None:
            query = _given(top=top, level=level, source=source)
            return self._transport.call("POST", f"{path}/predictions", AnyPredictions, file, **query).root
        body = _given(inputs=self._rows(inputs), top=top, level=level, source=source)
        return self._transport.call("POST", f"{path}/predictions", AnyPredictions, body).root

    # What is live

    def promote(self, version: int, reason: str = "", *, if_live: int | None = None) -> Deployment:
        """Make a version live by hand. Raises LiveMoved when another version is live than `if_live`."""
        body = _given(version=version, reason=reason, if_live=if_live)
        return self._transport.call("POST", f"{self._path}/deployments", Deployment, body)

    def rollback(self, reason: str = "", *, to: int | None = None, if_live: int | None = None) -> RolledBack:
        """Undo the latest promotion that is not yet undone; the version before answers from now on."""
        body = _given(reason=reason, to=to, if_live=if_live)
        return self._transport.call("POST", f"{self._path}/rollback", RolledBack, body)

    def settle_dispute(self, dispute: str, verdict: str, reason: str) -> ModelDispute:
        """Say that disputed labels are right ("confirmed") or wrong ("refuted"), and why."""
        path = f"{self._path}/disputes/{quote(dispute, safe='')}/settle"
        return self._transport.call("POST", path, ModelDispute, {"verdict": verdict, "reason": reason})

    # Names for versions: each stands for the number of its version, as `live` and `previous` do

    def set_alias(self, name: str, version: int) -> Alias:
        """Point a name at a version, whether the name is new or not."""
        return self._transport.call("PUT", f"{self._path}/aliases/{quote(name, safe='')}", Alias, {"version": version})

    def aliases(self) -> Iterator[Alias]:
        """All names that people gave, newest first."""
        return self._transport.each(f"{self._path}/aliases", Page[Alias])

    def delete_alias(self, name: str) -> None:
        """Forget a name; its version stays."""
        self._transport.send("DELETE", f"{self._path}/aliases/{quote(name, safe='')}")

    # Looking

    def batches(self, source: str | None = None) -> Iterator[Batch]:
        """All batches, newest first."""
        return self._transport.each(f"{self._path}/batches", Page[Batch], source=source)

    def suspects(self, batch: str) -> Iterator[SuspectRow]:
        """Rows of a batch that most likely carry a wrong label, the likeliest first; `correct` mends them."""
        return self._transport.each(f"{self._path}/batches/{quote(batch, safe='')}/suspects", Suspects)

    def updates(self, state: UpdateState | str | None = None) -> Iterator[Update]:
        """All updates, newest first."""
        return self._transport.each(f"{self._path}/updates", Page[Update], state=state)

    def disputes(self, state: DisputeState | str | None = None) -> Iterator[ModelDispute]:
        """What held updates dispute, and how it was settled, newest first."""
        return self._transport.each(f"{self._path}/disputes", Page[ModelDispute], state=state)

    def versions(self) -> Iterator[Version]:
        """All versions, newest first."""
        return self._transport.each(f"{self._path}/versions", Page[Version])

    def deployments(self) -> Iterator[Deployment]:
        """How the live pointer moved, newest first."""
        return self._transport.each(f"{self._path}/deployments", Page[Deployment])

    def version(self, number: int | str) -> Version:
        """One version, by number or alias: what it learned, its columns, its report."""
        return self._transport.call("GET", self._version(number), Version)

    def lineage(self) -> Lineage:
        """Which version came from which."""
        return self._transport.call("GET", f"{self._path}/lineage", Lineage)

    def certificate(self, version: int | str) -> Certificate | None:
        """The certificate of the retraction that made this version; None for any other version."""
        report = self.version(version).report
        return report.certificate if report else None

    def weights(self, version: int | str, *, whole: bool = True) -> bytes:
        """The version as safetensors: what `import_version` of another model of the same input takes.

        whole=False leaves out the weights of a pretrained backbone that no batch changed: the other service has them.
        """
        params = {} if whole else {"whole": "false"}
        return self._transport.send("GET", f"{self._version(version)}/weights", **params).content

    def import_version(
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

        A file that `weights` gave says what it is. Of any other, name the architecture, such as {"backbone": {"name":
        "mlp", "hidden": [256]}}, and the classes in the order of its outputs; or its metadata names them.
        """
        fields = _given(architecture=architecture, classes=None if classes is None else list(classes), scale=scale)
        params = _given(promote="true" if promote else None, reason=reason)
        answer = self._transport.upload(f"{self._path}/versions", weights, fields, **params)
        return Version.model_validate_json(answer.content)

    def ledger(self, version: int | str = "live") -> bytes:
        """(G, Q, n) and the class names of everything that the version holds, as safetensors: what `merge` takes."""
        return self._transport.send("GET", f"{self._version(version)}/ledger").content

    def _version(self, version: int | str) -> str:
        return f"{self._path}/versions/{quote(str(version), safe='')}"


def _given(**members: Any) -> dict[str, Any]:
    """A body without the members that the caller left out."""
    return {name: value for name, value in members.items() if value is not None}
