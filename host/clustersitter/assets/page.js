// Keeps the page true: fetches its content again whenever something happens.
"use strict";
const main = document.getElementById("main");
const link = document.getElementById("link");
let due = null;

async function refresh() {
  due = null;
  const answer = await fetch("/fragment");
  if (answer.ok) main.innerHTML = await answer.text();
}

// Many events come together: one look serves for all of them.
function soon() {
  due ??= setTimeout(() => refresh().catch(() => {}), 150);
}

const events = new EventSource("/v1/events");
events.onmessage = soon;
events.onopen = () => { link.textContent = "live"; link.className = ""; soon(); };
events.onerror = () => { link.textContent = "no connection to the cluster sitter"; link.className = "away"; };
