// What pages gain by a script: dialogs in place of pages in between, live parts, copying. Without it all works too.
"use strict";

// A form with data-dialog answers with a page whose panel is shown in a dialog.
document.addEventListener("submit", async (event) => {
  const form = event.target;
  const button = event.submitter;
  if (!(button?.dataset.dialog !== undefined || form.dataset.dialog !== undefined)) return;
  event.preventDefault();
  const action = button?.hasAttribute("formaction") ? button.formAction : form.action;
  const answer = await fetch(action, {
    method: "POST",
    body: new URLSearchParams(new FormData(form, button)),
    headers: { Accept: "text/html" },
  });
  if (answer.redirected) {
    location.assign(answer.url);
    return;
  }
  const shown = new DOMParser().parseFromString(await answer.text(), "text/html");
  const title = shown.querySelector("h1").textContent;
  const dialog = document.createElement("dialog");
  const heading = document.createElement("h2");
  heading.id = "dialog-title";
  heading.textContent = title;
  dialog.setAttribute("aria-labelledby", heading.id);
  dialog.append(heading);
  for (const part of [...shown.querySelector("main").children]) {
    if (!part.classList.contains("head")) dialog.append(document.importNode(part, true));
  }
  for (const part of dialog.querySelectorAll("form[action], [formaction], a[href]")) {
    for (const name of ["action", "formaction", "href"]) {
      if (part.hasAttribute(name)) part.setAttribute(name, new URL(part.getAttribute(name), action).href);
    }
  }
  for (const cancel of dialog.querySelectorAll("[data-close]")) {
    cancel.addEventListener("click", (click) => {
      click.preventDefault();
      dialog.close();
    });
  }
  dialog.addEventListener("close", () => {
    dialog.remove();
    button?.focus();
  });
  document.body.append(dialog);
  enhance(dialog);
  dialog.showModal();
});

// Ticking rows tells the buttons what they are about.
document.addEventListener("change", (event) => {
  if (event.target.matches("[data-all]")) {
    for (const box of event.target.form.querySelectorAll("input[name=id]")) box.checked = event.target.checked;
  }
  const count = event.target.form?.querySelector("[data-count]");
  if (count) {
    const ticked = event.target.form.querySelectorAll("input[name=id]:checked").length;
    count.textContent = ticked ? `${ticked} selected` : count.dataset.count;
  }
});

function enhance(within) {
  if (!navigator.clipboard) return; // there is none on plain http, but for this machine's own
  for (const button of within.querySelectorAll("[data-copy]")) {
    button.hidden = false;
    button.addEventListener("click", async () => {
      const said = button.textContent;
      const link = document.getElementById(button.dataset.copyOf); // whole, with the origin it is opened at
      await navigator.clipboard.writeText(link?.href ?? button.dataset.copy);
      button.textContent = "Copied";
      setTimeout(() => (button.textContent = said), 1500);
    });
  }
}
enhance(document);

// On a phone the navigation is one line: the page that is shown stands in sight.
// Not by scrollIntoView, from which a browser goes on with Tab: the first Tab leads to "Skip to content".
const here = document.querySelector("nav [aria-current]");
if (here) {
  const pages = here.closest("nav");
  const [line, link] = [pages.getBoundingClientRect(), here.getBoundingClientRect()];
  pages.scrollLeft += link.left + link.width / 2 - line.left - line.width / 2;
}

// The live part of a page is sent anew whenever it looks different; not while nobody looks.
const live = document.getElementById("live");
let stream = null;
let again = 0;
let pause = 2000;

function looks(html) {
  return html.replace(/ (open|hidden)=""| name="once" value="[^"]*"|>[^<]*<\/time>/g, "");
}

function replaceLive(html) {
  const fresh = document.createElement("template");
  fresh.innerHTML = html;
  if (looks(fresh.innerHTML).trim() === looks(live.innerHTML).trim()) return;
  if (live.contains(document.activeElement) && document.activeElement.matches("input, select, textarea")) return;
  const open = [...live.querySelectorAll("details")].map((one) => one.open);
  const focusable = "a, button, summary";
  const focus = [...live.querySelectorAll(focusable)].indexOf(document.activeElement);
  live.replaceChildren(fresh.content);
  live.querySelectorAll("details").forEach((one, index) => (one.open = open[index] ?? false));
  enhance(live);
  if (focus >= 0) live.querySelectorAll(focusable)[focus]?.focus();
}

function follow() {
  clearTimeout(again);
  if (document.hidden) {
    stream?.close();
    stream = null;
  } else if (live && !stream) {
    stream = new EventSource(location.href);
    stream.addEventListener("live", (event) => {
      pause = 2000;
      replaceLive(event.data);
    });
    stream.addEventListener("error", comeBack);
    stream.addEventListener("over", () => location.reload());
  }
}
// A browser comes back by itself, but every other second however long nobody answers, and not at all from an
// answer that is no stream, such as a proxy's 502 in a restart.
function comeBack() {
  stream?.close();
  stream = null;
  again = setTimeout(follow, pause * (0.5 + Math.random()));
  pause = Math.min(pause * 2, 60000);
}
document.addEventListener("visibilitychange", follow);
window.addEventListener("pagehide", () => stream?.close());
follow();

// Times are told as people tell them, and stay right.
const UNITS = [[60, 1, "s"], [3600, 60, "min"], [86400, 3600, "h"], [Infinity, 86400, "d"]];
function tellTimes() {
  for (const one of document.querySelectorAll("time[datetime]")) {
    const seconds = (new Date(one.dateTime) - Date.now()) / 1000;
    const [, unit, name] = UNITS.find(([most]) => Math.abs(seconds) < most);
    const text = `${Math.floor(Math.abs(seconds) / unit)} ${name}`;
    one.textContent = Math.abs(seconds) < 1 ? "just now" : seconds > 0 ? `in ${text}` : `${text} ago`;
  }
}
setInterval(() => document.hidden || tellTimes(), 5000);
