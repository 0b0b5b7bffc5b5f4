// Loads a page that shows something unfinished again, once a second while it is looked at, and puts its part `live` in
// the place of the one that is shown. Where the new page has none, it has ended: then the whole page is loaded.
const again = async () => {
  if (!document.hidden) {
    try {
      const answer = await fetch(location.href, { headers: { accept: "text/html" } });
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const fresh = page.getElementById("live");
      if (!fresh) return location.reload();
      document.getElementById("live").replaceChildren(...fresh.childNodes);
    } catch { /* the service is away for a moment: ask again */ }
  }
  setTimeout(again, 1000);
};
setTimeout(again, 1000);
