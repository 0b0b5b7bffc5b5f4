// Nobody looks at a hidden window: it asks nothing. htmx's own condition ([!document.hidden]) is evaluated, which no page allows.
document.addEventListener("htmx:config:request", event => { if (document.hidden) event.preventDefault(); });
