// Loads a page that shows something unfinished again, once a second while it is looked at, and puts its part `live` in
// the place of the one that is shown; tables that are open stay open. Where the new page has none, it has ended: then the whole page is loaded.
const again = async () => {
  if (!document.hidden) {
    try {
      const answer = await fetch(location.href, { headers: { accept: "text/html" } });
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const fresh = page.getElementById("live");
      if (!fresh) return location.reload();
      const shown = document.getElementById("live");
      const summaries = [...shown.querySelectorAll("summary")];
      const focused = summaries.indexOf(document.activeElement);
      const parts = [...fresh.querySelectorAll("details")];
      parts.forEach((part, k) => { part.open = summaries[k]?.parentElement.open ?? false; });
      shown.replaceChildren(...fresh.childNodes);
      if (focused >= 0) parts[focused]?.querySelector("summary").focus();
    } catch { /* the service is away for a moment: ask again */ }
  }
  setTimeout(again, 1000);
};
setTimeout(again, 1000);
