// Looks at a file that is chosen or dropped: its beginning alone goes out, and the file stays chosen. Where the form itself asks for the look, the
// page that comes back takes the place of this one; else, as soon as a file is chosen, the part that tells of it does.
const main = document.getElementById("main");
const looks = input => new URL(input.dataset.look, location).href;
let looking; // while the file that was chosen is looked at
const look = async (form, input) => {
  const [file] = input.files;
  const sent = new FormData();
  for (const [name, value] of new FormData(form)) if (name !== input.name) sent.append(name, value);
  sent.append("size", file.size);
  sent.append(input.name, file.slice(0, input.dataset.head), file.name);
  const answer = await fetch(looks(input), { method: "POST", body: sent, headers: { accept: "text/html" } });
  if (answer.redirected) location.assign(answer.url);
  return new DOMParser().parseFromString(await answer.text(), "text/html");
};
main.addEventListener("submit", async event => {
  const form = event.target;
  const input = form.querySelector("[data-look]");
  if (looking) {
    event.preventDefault();
    await looking;
    form.requestSubmit();
    return;
  }
  if (!input || looks(input) !== form.action) return;
  event.preventDefault();
  try {
    const page = await look(form, input);
    const next = page.getElementById("file");
    const refused = page.getElementById("file-fault");
    main.replaceChildren(...page.getElementById("main").childNodes);
    if (next && !refused) next.files = input.files;
    document.title = page.title;
    const title = main.querySelector("h1");
    title.tabIndex = -1;
    title.focus();
  } catch {
    form.submit(); // the browser says itself what is in the way
  }
});
main.addEventListener("change", event => {
  const input = event.target;
  const measured = main.querySelector("[data-measured]");
  if (measured && input.id === "target") {
    document.getElementById(JSON.parse(measured.dataset.measured).includes(input.value) ? "number" : "class").checked = true;
  }
  const file = input.id === "target" && input.form.querySelector("[data-look]"); // labels are those of the column chosen
  if (file && looks(file) !== input.form.action && file.files.length) {
    const now = show(file).then(() => document.getElementById("target")?.focus()).finally(() => { if (looking === now) looking = undefined; });
    looking = now;
    return;
  }
  if (!input.dataset.look || looks(input) === input.form.action || !input.files.length) return;
  const now = show(input).finally(() => { if (looking === now) looking = undefined; });
  looking = now;
});
const show = async input => {
  try {
    const page = await look(input.form, input);
    const looked = page.getElementById("looked");
    const fault = page.getElementById("file-fault");
    if (!looked) return;
    document.getElementById("looked").replaceChildren(...looked.childNodes);
    document.getElementById("file-fault")?.remove();
    if (fault) input.after(fault);
    for (const name of ["aria-invalid", "aria-describedby"]) {
      if (fault) input.setAttribute(name, page.getElementById("file").getAttribute(name));
      else input.removeAttribute(name);
    }
  } catch {
    // nothing is filled in, and the file is sent as it is
  }
};
// A file may be dropped anywhere on its frame; without a script the button takes it.
const dropped = event => event.target.closest(".drop")?.querySelector("input");
main.addEventListener("dragover", event => { if (dropped(event)) event.preventDefault(); });
main.addEventListener("drop", event => {
  const input = dropped(event);
  if (!input || !event.dataTransfer.files.length) return;
  event.preventDefault();
  input.files = event.dataTransfer.files;
  input.dispatchEvent(new Event("change", { bubbles: true }));
});
