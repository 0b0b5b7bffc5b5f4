"""The table of all limits of the service, each as the code that keeps to it has it. What depends on the machine, or on
how much one trusts those who ask, is a setting; the others say why they are none."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from typing import cast

from annotated_types import Le, MaxLen
from pydantic import BaseModel

from service.api.bodies.ledger_body import MOST_ENTRIES
from service.api.bodies.prediction_bodies import MOST_TOP
from service.api.bodies.version_upload import MOST_MEMBER_BYTES
from service.api.context import LONGEST_WAIT, MOST_ITEMS
from service.api.idempotent_posts import KEY_LENGTH, PATIENCE_SECONDS
from service.api.limits import turns
from service.api.limits.connections import HEAD_BYTES, LONG_FRAMES, LONG_HEAD, SLOW_HEAD, UNREAD_BYTES, UNREAD_SECONDS
from service.api.limits.long_answers import MOST_BINARY_SCORES, MOST_SCORES
from service.api.limits.request_checks import QUERY_BYTES
from service.api.lists import MOST_BYTES as MOST_BYTES_A_PAGE
from service.api.reader.process import WAITING
from service.api.reader.spool import MEMBERS_BYTES
from service.api.validation import REMEDIES
from service.contract import inputs, requests, tables
from service.contract.body_limits import Limit
from service.contract.names import LONGEST_NAME
from service.contract.requests import LONGEST_SOURCE
from service.contract.targets.number_target import LARGEST_TARGET, MOST_NUMBERS_A_ROW
from service.guessing.csv_files.records import LONGEST_RECORD
from service.intake import json_body, near
from service.intake.formats import multipart, safetensors_file
from service.intake.kinds import picture_pieces
from service.intake.kinds.images import HERE_BYTES
from service.intake.kinds.texts import MOST_MARKS
from service.settings import PREFIX, Settings

CONTRACT = "it is part of the interface that /openapi.json describes"
COST = "beyond it 64 kB of a body could hold up others for over 50 ms, or 1 MB of it take over 50 MB of memory"
ENOUGH = "no well-meant request or file comes near it"
MEMORY = "beyond it the process that reads large bodies could run out of memory"
THREADS = "each that waits holds a thread, and there are few"
FLOATS = "squares of larger numbers, and sums of them, do not fit into float64"
EXACT = "exact sums take at most 4,096 features a row"
UNICODE = "Unicode's stream-safe text format allows as many"
"""Why a limit has no setting, or one that lowers it alone."""


@dataclass(frozen=True)
class Row:
    """One limit. `value`: a number, or the name of the setting that holds it; `status`: of the refusal beyond it, None
    where nothing is refused; `beyond`: the remedy, or what becomes of the request then; `fixed`: why there is no
    setting, or why it may be lower than by default and not higher; None where it may be both."""

    name: str
    value: float | str
    unit: str
    status: int | None
    bounds: str
    beyond: str
    fixed: str | None = None

    def limit(self, settings: Settings) -> Limit:
        """The limit under these settings."""
        setting = self.value if isinstance(self.value, str) else None
        return Limit(
            name=self.name,
            value=self.value if setting is None else getattr(settings, setting),
            unit=self.unit,
            bounds=self.bounds,
            beyond=self.beyond,
            status=self.status,
            setting=None if setting is None else f"{PREFIX}{setting.upper()}",
            fixed=self.fixed,
        )


def most(body: type[BaseModel], field: str) -> int:
    """The largest value, or length, that a field of a body declares."""
    declared = body.model_fields[field].metadata
    [largest] = [
        bound.max_length if isinstance(bound, MaxLen) else cast(int, bound.le)
        for bound in declared
        if isinstance(bound, Le | MaxLen)
    ]
    return largest


# laid out by hand, so that it reads as a table
# fmt: off
ROWS = (
    Row("body", "max_body_bytes", "bytes", 413, "The body of a request.", "Send it in several parts."),
    Row("other bodies", "max_other_body_bytes", "bytes", 413,
        "A body that brings neither rows nor weights, or rows at /invocations.",
        "Send what is asked for alone.", COST),
    Row("beside rows", MEMBERS_BYTES, "bytes", 413,
        "What a body of rows has beside its rows, labels and targets.", "Send what is asked for alone.", COST),
    Row("model", "max_model_body_bytes", "bytes", 413,
        "A body that makes a model.", "Round the numbers of its scale.", COST),
    Row("members", json_body.MOST_MEMBERS, "members", 422,
        "Members of all objects of a body together, and lists in it, beside its rows.",
        "Send what is asked for alone.", COST),
    Row("members of a model", json_body.MODEL_MEMBERS, "members", 422,
        "The same of a body that makes a model.", "Send fewer columns.", COST),
    Row("members of a correction", json_body.CORRECTION_MEMBERS, "members", 422,
        "The same of a body that corrects rows, of which it has 10,000 at most.", "Send fewer rows.", COST),
    Row("values of lists", json_body.MOST_VALUES, "values", 422,
        "Values of all lists of a body together, beside its rows, labels and targets.",
        "Send what is asked for alone.", COST),
    Row("values of a model", json_body.MODEL_VALUES, "values", 422,
        "The same of a body that makes a model: its scale may have two numbers a column.", "Send fewer columns.", COST),
    Row("depth", "max_depth", "levels", 400,
        "Lists and objects within one another in a body, beside its rows, labels and targets.",
        "Send what is asked for alone.", ENOUGH),
    Row("rows", "max_rows", "rows", 422,
        "Rows, and labels or targets, of a body.", "Send them in several bodies.", CONTRACT),
    Row("body time", "body_timeout_seconds", "seconds", 408,
        "From the first to the last byte of a body.", "Send smaller batches."),
    Row("query", QUERY_BYTES, "bytes", 414, "The query of a request.", "POST rows in a body.", ENOUGH),
    Row("head", HEAD_BYTES, "bytes", 431, "Address and headers of a request.", LONG_HEAD, ENOUGH),
    Row("frames", HEAD_BYTES, "bytes", 431,
        "What frames a chunked body beyond 16 bytes a chunk: extensions, trailers.", LONG_FRAMES, ENOUGH),
    Row("head time", "head_timeout_seconds", "seconds", 408,
        "From the first byte of a head, or from the beginning of a connection, to the last one.",
        f"{SLOW_HEAD} A connection that sent nothing is closed without an answer."),
    Row("idle time", "idle_seconds", "seconds", None,
        "How long a connection stays open after an answer.", "It is closed: open another one."),
    Row("connections", "max_connections", "connections", 503,
        "Open connections. As many as fit into `ulimit -n`, if these are fewer.",
        "Those that ask nothing are closed. Where all ask, a new one may ask for health alone."),
    Row("top", MOST_TOP, "classes", 422, "`top`: best classes listed a row.", REMEDIES["top"], CONTRACT),
    Row("scores", MOST_SCORES, "scores", 422,
        "Rows times classes that one answer lists as text, or rows times numbers of a row. The best class of each row "
        "(`top` 1, the output `class`) is always listed, and so is one number a row with its interval.",
        "Ask for fewer classes (`top`), or send the rows in several requests.", COST),
    Row("scores as bytes", MOST_BINARY_SCORES, "scores", 422,
        "The same of the Open Inference Protocol, where `scores`, or `value` and `interval`, come as bytes.",
        "Ask for `class` alone, or send the rows in several requests.", COST),
    Row("scores at once", "scores_at_once", "scores", 503,
        "All answers of more than a few rows that are being made or written. One that is longer is made alone.",
        "Send it again after Retry-After."),
    Row("answer time", "answer_timeout_seconds", "seconds", None,
        "From the first to the last byte of an answer of so many scores that it leaves in pieces.",
        "It is cut off. Ask for less at once."),
    Row("taking", UNREAD_BYTES, "bytes", None,
        f"What a client must take of an answer that waits for it, every {UNREAD_SECONDS:g} seconds.",
        "The connection is cut off.", ENOUGH),
    Row("waiting predictions", "queue_seconds", "seconds", 503,
        "How long a prediction may wait for its turn, as the measured pace of its version tells.",
        "Retry-After says when it would be its turn."),
    Row("large bodies", WAITING, "bodies", 503,
        "Large bodies that are read, or wait to be read, at once.", "Send it again after Retry-After.", THREADS),
    Row("uploads", "waiting_requests", "requests", 503,
        f"Requests with rows to learn that wait, besides the {turns.ROWS} that are being stored.",
        "Send it again after Retry-After."),
    Row("orders", "waiting_requests", "requests", 503,
        f"All other requests that write and wait, besides the {turns.ORDERS} whose turn it is.",
        "Send it again after Retry-After."),
    Row("large uploads", "waiting_large_bodies", "requests", 503,
        f"Large bodies and versions from elsewhere that wait to be stored, besides the {turns.LARGE} whose turn it is.",
        "Send it again after Retry-After."),
    Row("event streams", "event_streams", "streams", 503,
        "Callers that follow the events of updates at once.",
        "Ask for the update itself, or send it again after Retry-After."),
    Row("waits", "update_waits", "requests", None,
        "Requests that wait for an update by `wait`.",
        "The update is answered as it stands, as when the time is over."),
    Row("downloads", "downloads", "files", 503,
        "Weights and sums that are on their way at once.", "Send it again after Retry-After."),
    Row("untaken", "unsent_bytes", "bytes", None,
        "Answers of all connections that wait in memory to be taken.",
        "The connection that takes nothing for the longest is cut off."),
    Row("reading", "reading_seconds", "seconds", 503, "Reading one large body.", "Send it in parts."),
    Row("page", MOST_ITEMS, "items", 422, "`limit`: items a page of a list.", "Follow `next_cursor`.", CONTRACT),
    Row("page bytes", MOST_BYTES_A_PAGE, "bytes", None,
        "A page of a list; one that gets so long has fewer items than `limit` says.", "Follow `next_cursor`.", COST),
    Row("wait", LONGEST_WAIT, "seconds", 422, "`wait`: until an update is final.", "Ask again, or follow its events.",
        CONTRACT),
    Row("first try", PATIENCE_SECONDS, "seconds", 409,
        "How long a second try under an Idempotency-Key waits for the first one.", "Send it again after Retry-After.",
        THREADS),
    Row("Idempotency-Key", KEY_LENGTH, "characters", 422, "An Idempotency-Key.", "Take a shorter one.", CONTRACT),
    Row("source", LONGEST_SOURCE, "characters", 422, "The `source` of rows.", "Take a shorter one.", CONTRACT),
    Row("numbers a row", most(inputs.VectorInput, "size"), "numbers", 422,
        "`size` of a model of vectors.", "Send fewer columns.", CONTRACT),
    Row("names of a vector", most(inputs.VectorInput, "names"), "names", 422,
        "`names` of a model of vectors.", REMEDIES["/input/names"], CONTRACT),
    Row("columns", most(tables.TableInput, "columns"), "columns", 422,
        "Columns of a model of tables.", "Send fewer columns.", CONTRACT),
    Row("features of a table", tables.MOST_FEATURES, "features", 422,
        "What the columns of a table come to: a number to some, a declared value to one.",
        "Leave out columns, or lists of values.", EXACT),
    Row("values", tables.MOST_VALUES, "values", 422,
        "Values of all categories of a model together, without those that are declared or `many`.",
        'Make a model whose column has `"many": true`, or leave the column out.', EXACT),
    Row("cells", "max_cells", "cells", 422,
        "Rows times columns of a body of rows of a table, or of CSV; one row fits always.",
        "Send it in several bodies.", MEMORY),
    Row("row of CSV", LONGEST_RECORD, "characters", 422,
        "A row of a CSV file.", "Look for a quote that is never closed.", ENOUGH),
    Row("cell of CSV", csv.field_size_limit(), "characters", 422,
        "A cell of a CSV file.", "Look for a quote that is never closed.", ENOUGH),
    Row("value", LONGEST_NAME, "characters", 422,
        "The value of a category, and the name of a column.", "Take a shorter one.", CONTRACT),
    Row("number of a table", tables.LARGEST_CELL, "on either side of 0", 422,
        "A number of a table.", "Take a larger unit.", FLOATS),
    Row("channels", most(inputs.ImageInput, "channels"), "channels", 422, "Channels of an image.", "Send fewer.",
        CONTRACT),
    Row("side", "max_image_side", "pixels", 422,
        "Height and width of the images of a model that is made.", "Make it smaller.", CONTRACT),
    Row("pictures", "max_picture_bytes", "bytes", 422,
        "Pixels that the image files of one body come to.", "Send them in several bodies.", MEMORY),
    Row("pictures read at once", HERE_BYTES, "bytes", None,
        "The same, of one body in the process that serves.", "More of them are read aside, as large bodies are.", COST),
    Row("scans", picture_pieces.MOST_SCANS, "scans", 422, "Scans of a JPEG.", "Save it anew.", ENOUGH),
    Row("pieces", picture_pieces.MOST_PIECES, "pieces", 422, "Segments of a JPEG, chunks of a PNG.", "Save it anew.",
        ENOUGH),
    Row("texts of a PNG", picture_pieces.MOST_TEXT_BYTES, "bytes", 422,
        "Texts, and the colour profile, of a PNG file, unpacked.", "Save it without them.", ENOUGH),
    Row("text", most(inputs.TextInput, "length"), "characters", 422, "`length` of a model of texts.", "Cut the texts.",
        CONTRACT),
    Row("marks", MOST_MARKS, "marks", 422, "Combining marks in a row within a text.", "Leave the text out.", UNICODE),
    Row("classes", "max_classes", "names", 422, "Classes of a model.", "Make several models.", CONTRACT),
    Row("near matches", near.STEPS, "pairs of letters", None,
        "Comparisons of unknown labels with those that are known.",
        "Those that share the most letters are compared; others may go untold.", COST),
    Row("class name", "max_class_name", "characters", 422, "The name of a new class.", "Take a shorter one.", CONTRACT),
    Row("targets a row", MOST_NUMBERS_A_ROW, "numbers", 422,
        "Numbers that a model predicts of a row.", "Make several models.", CONTRACT),
    Row("target", LARGEST_TARGET, "on either side of 0", 422,
        "A target that is a number. Once the grid of its model is fixed, 16,384 spreads from the middle of the first "
        "batch, or what `range` or `step` asks for.",
        "The refusal says what fits. Leave the row out, or make a model with `range`.", FLOATS),
    Row("aliases", "model_aliases", "names", 409, "Aliases of a model.", "Delete one that is no longer used."),
    Row("retraction", most(requests.CreateRetraction, "batches"), "batches", 422,
        "Batches that one retraction takes back.", "Send several.", CONTRACT),
    Row("batches", requests.MOST_BATCHES, "batches", 422, "Batches that an update names.", 'Say "pending".', CONTRACT),
    Row("parameters", requests.MOST_PARAMETERS, "parameters", 422,
        "Parameters of a method.", requests.FEWER_PARAMETERS, CONTRACT),
    Row("weights header", safetensors_file.HEADER_LIMIT, "bytes", 422,
        "The header of a safetensors file.", "Use fewer names.", ENOUGH),
    Row("tensors", safetensors_file.MOST_TENSORS, "tensors", 422,
        "Tensors of a safetensors file.", "Merge some of them.", ENOUGH),
    Row("least rows of a ledger", "ledger_min_rows", "rows", 409,
        "Rows of each class that every batch behind an exported ledger has at least.",
        "Export a version that did not learn the batch that is named."),
    Row("entries of a ledger", MOST_ENTRIES, "batches", 422,
        "Batches elsewhere behind a ledger that is merged.", "Have it exported from a model of fewer batches.", COST),
    Row("said of weights", MOST_MEMBER_BYTES, "bytes", 422,
        "Each of the parts of a multipart body beside the file: architecture, classes, scale.", "Shorten it.", ENOUGH),
    Row("parts", multipart.MOST_PARTS, "parts", 422, "Parts of a multipart body.", "Leave out what is not asked for.",
        ENOUGH),
    Row("requests of a key", "key_rate", "requests a second", 429,
        "Requests of one key to one process, where the key has no `rate` of its own; a second's may come at once.",
        "Send it again after Retry-After."),
    Row("waiting updates", "queued_updates", "updates", 429,
        "Updates of a model that wait at once, corrections too. Retractions are always taken.",
        'Send batches, and learn them with one update of "pending" rows.'),
    Row("waiting updates of a key", "key_queued_updates", "updates", 429,
        "The same of one key, over all models, where it has no `queued` of its own.",
        "Send it again after Retry-After."),
    Row("bytes of a model", "model_bytes", "bytes", 507,
        "Stored batches of a model.", "Erase batches, or let the model keep fewer rows."),
    Row("bytes of a key", "key_bytes", "bytes", 507,
        "Stored batches that one key has sent, over all models, where it has no `bytes` of its own.",
        "Erase batches, or let models keep fewer rows."),
    Row("room on the disk", "reserve_bytes", "bytes", 507,
        "What stays free on the disk of database and store; predictions, rollbacks and retractions go on.",
        "Free some: tsuika gc --cache, then docs/upkeep.md."),
    Row("loaded versions", "serving_bytes", "bytes", None,
        "Memory of loaded versions.",
        "What was not asked for the longest is let go, and loaded again when it is asked."),
)
# fmt: on


def limits_of(settings: Settings) -> list[Limit]:
    """All limits under these settings."""
    return [row.limit(settings) for row in ROWS]
