// What the page does beside htmx: number keys, dropped pictures, the slider, pictures and videos that cannot be shown, and focus.
"use strict";

const isTyping = (element) => element.closest("input:not([type=checkbox]):not([type=range]), select, textarea") !== null;

function say(text) {
  document.getElementById("status").textContent = text;
}

function mark(person) {
  for (const other of document.querySelectorAll("g.person.chosen")) other.classList.remove("chosen");
  person.classList.add("chosen");
}

// People of a scene: htmx loads the hits where it is at hand, other pages are opened.
function choose(person) {
  mark(person);
  if (person.hasAttribute("hx-get")) person.dispatchEvent(new MouseEvent("click", { bubbles: true }));
  else location.assign(person.dataset.href);
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.altKey || event.metaKey || isTyping(event.target)) return;
  const person = event.target.closest("g.person");
  if (person && (event.key === "Enter" || event.key === " ")) {
    event.preventDefault();
    choose(person);
  } else if (/^[1-9]$/.test(event.key)) {
    const numbered = document.querySelector(`g.person[data-number="${event.key}"]`);
    if (!numbered) return;
    numbered.focus();
    choose(numbered);
  }
});

document.addEventListener("click", (event) => {
  const person = event.target.closest("g.person");
  if (person && event.isTrusted) {
    mark(person);
    if (!person.hasAttribute("hx-get")) choose(person);
  }
  if (event.target.id === "to-threshold") {
    const least = document.getElementById("least");
    least.value = least.dataset.threshold;
    filter(least);
  }
});

// A picture that is dropped or chosen is sent as it is, then searched for.
async function send(file) {
  const message = document.getElementById("drop-message");
  const show = (text) => { if (message) message.textContent = text; else say(text); };
  show(`Looking at ${file.name}`);
  const answer = await fetch("/pictures", { method: "POST", body: file, headers: { Accept: "application/json" } });
  const value = await answer.json().catch(() => ({ error: `the service answered ${answer.status}` }));
  if (!answer.ok) return show(value.error);
  const gallery = document.getElementById("main").dataset.gallery;
  const place = gallery ? `gallery=${gallery}` : "";
  location.assign(value.doubt ? `/pictures/${value.picture}?${place}` : `/hits?shot=${value.picture}&${place}`);
}

document.addEventListener("change", (event) => {
  if (event.target.id === "picture" && event.target.files.length) send(event.target.files[0]).catch(() => say("The service does not answer."));
});
document.addEventListener("dragover", (event) => {
  if (!document.getElementById("main").dataset.gallery) return;
  event.preventDefault();
  document.body.classList.add("dragging");
});
document.addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) document.body.classList.remove("dragging");
});
document.addEventListener("drop", (event) => {
  if (!document.getElementById("main").dataset.gallery) return;
  event.preventDefault();
  document.body.classList.remove("dragging");
  if (event.dataTransfer.files.length) send(event.dataTransfer.files[0]).catch(() => say("The service does not answer."));
});

// The slider hides hits; it asks the service nothing.
function filter(slider) {
  const least = Number(slider.value);
  const hits = [...document.querySelectorAll(".hit")];
  let shown = 0;
  for (const hit of hits) {
    hit.hidden = least > 0 && Number(hit.dataset.similarity) < least;
    shown += !hit.hidden;
  }
  for (const divider of document.querySelectorAll(".divider")) divider.hidden = least > 0 && least >= Number(slider.dataset.threshold);
  document.getElementById("least-value").textContent = least > 0 ? `${least.toFixed(2)}: ${shown} of ${hits.length}` : "any";
  const empty = document.getElementById("none-left");
  if (empty) empty.hidden = shown > 0;
}

document.addEventListener("input", (event) => {
  if (event.target.id === "least") filter(event.target);
});
document.addEventListener("change", (event) => {
  if (event.target.id === "least") event.stopPropagation();
}, true);

// Pictures and videos that cannot be shown say so.
document.addEventListener("error", (event) => {
  if (event.target instanceof HTMLImageElement) {
    const missing = document.createElement("span");
    missing.className = "missing";
    missing.setAttribute("role", "img");
    missing.setAttribute("aria-label", `${event.target.alt} (picture not available)`);
    missing.textContent = "picture not available";
    event.target.replaceWith(missing);
  } else if (event.target instanceof HTMLVideoElement) {
    event.target.hidden = true;
    event.target.nextElementSibling.hidden = false;
  }
}, true);

// After a part has been loaded, its heading has the focus, so that keys and screen readers go on there.
document.addEventListener("htmx:afterSwap", (event) => {
  if (event.target.id !== "hits" && event.target.id !== "scene") return;
  const heading = event.target.querySelector("h2");
  if (!heading) return;
  heading.focus({ preventScroll: true });
  const top = event.target.getBoundingClientRect().top;
  if (top < 0 || top > window.innerHeight / 2) event.target.scrollIntoView();
  if (heading.dataset.status) say(heading.dataset.status);
});
document.addEventListener("htmx:sendError", () => say("The service does not answer. Is it still running?"));
