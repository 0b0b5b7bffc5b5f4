"""The pages: what the API answers, for people. A browser without JavaScript gets all of it.

A page is a client of the API, in this process. It asks `/v1/...` through the door that every request passes
(`client.py`), with the key that its browser signed in with: access, limits, audit and idempotency are the API's, and no
page has a rule of its own. So a page imports `service.contract`, `service.guessing` and `service.errors`, and nothing
behind the API. The server imports pages before it is ready.

    addresses      which paths are pages: all that the server knows until it is ready
    frame          headers of every page, and the files that it loads
    starting       what browsers see while the service starts
    site           finds the page, checks a form, runs the page in a thread, sends the answer
    view           what a page gets (View) and answers with (Shown, Moved); Route
    client         the API: get, find, post; address() makes paths of parts
    browser        cookies: key, token against forgery, language
    typed_rows     numbers and dates as people type them
    forms          fields of a form; faults() puts a refusal beside its fields
    upload         a form with a file, which streams through to the API
    words          sentences by key, in the language of the browser; percent, amount, moment
    reports/       what a report says, in words and numbers: estimates, verdicts, reasons
    kinds/         one file a kind of target: its figures, bars, sentences of rules, rows and answers; kind.py is the
                   contract. Pages ask `kind_of(model.target)`, and none knows which kinds there are. Keys of sentences
                   that each kind has end with its name, or with that of its bars
    charts/        SVG of numbers: pure functions
    pages/         one file a page, those of rows in data/, of versions in versions/; and ROUTES, the list of them
    templates/     base.html frames a page, parts.html has what several are made of
    catalogue/     en.toml and ja.toml: the same keys with the same placeholders, but for `reason`, which the gate says
                   itself in English; said.ja.toml: patterns of notes, details of problems and reasons of methods,
                   which said.py finds. Japanese has a space between its letters and Latin ones or digits, and none
                   beside full-width marks: `rendering` takes those out
    static/        one stylesheet, one icon; scripts, where a page is better with one: htmx, as it is
                   published, follows an update by the attributes of `parts.follows`

**Add a page.**

1. `pages/NAME.py`: a function `show(view) -> Shown`. It asks the API (`view.model()`,
   `view.api.get(view.path("versions"), ...)`; `find` gives None for what the key may not read) and hands resources of
   the contract, estimates and charts to a template. It decides what stands on the page, not how it is worded. End with
   `ROUTE = Route("/models/{model}/name", show)` and add it to ROUTES. A new first part of a path goes into
   `addresses.ROOTS`.
2. `templates/NAME.html` extends base.html and fills `title`, which is its heading, too, `path` and `main`. What lists
   is `parts.rows`. Order: what is live and how good, what waits for you, how it went, everything else. A sentence
   before each number; one button of class `primary`, or a reason in `WITHOUT` (tests/web/browser/page_checks.py). Put
   every sentence into both catalogues, `t("name.key", n=3)`. A
   verdict's sentence is `reasons.verdict_sentence`, shown by `parts.why`; what else comes from the service in English
   (notes, details of problems) is shown by `parts.told`, and gets a line in said.ja.toml; what people wrote by
   `parts.written`. Everything is escaped: never use `| safe`, never
   build HTML in Python. Inline styles and scripts do not run (Content-Security-Policy): colours and sizes are classes
   of style.css.
3. `Shown(..., json=address(...))` links the same as JSON.
4. What changes something is a form: `{% call parts.form("/models/...") %} ... {% endcall %}` around fields and a
   button in the template, and `act(view) -> Moved | Shown` in the route. It makes one call, `view.api.post(...)`,
   whose Idempotency-Key is the form's, with `if_live` in a hidden field where the call takes it. `@asks_again(show)`
   shows the page again with what the API refuses in `view.faults`: `parts.field` puts each sentence beside its field.
   A new kind of error gets a sentence in both catalogues, `refusal.KIND`. `pages/versions/rollback.py` is the example.
   What changes what is live has a page of its own, which says beforehand what will change.
5. Links to the page come with the page: from the page above it, and into the frame's navigation if it is not of one
   model.
6. Tests: what is pure in tests/web in milliseconds; the page through the door in tests/web/test_pages.py; and its
   address in PAGES of tests/web/browser, where axe, the keyboard, two widths, light and dark look at it.

A chart is a pure function in `charts/`: numbers in, Markup out, by the elements of `charts/axis.py`, which escape what
they show. It has a title and a description in sentences, a narrow picture of its own for phones (`class="small"`,
inside `<div class="wide">`), and its numbers stand in a table on the same page.

A file that a browser uploads does not fit into a form of fields (`forms.FORM_BYTES`): `upload.py` reads the fields
before it, `Route.sends` says where it goes, and it streams to the API; `act` finds the answer in `view.sent`.
`pages/data/send.py` is the example. With `Route.looks` a page looks at the beginning of a file itself (`view.head`), as
`pages/make.py` does to guess a model. What a file says is guessed by `service.guessing`, and by no page.
"""
