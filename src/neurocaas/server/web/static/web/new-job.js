// The page of a new job: uploads that become chosen datasets, fields and text that follow each other, and marks at
// the fields that the quote finds fault with. What a text means is decided by the server alone.

import { announce } from "./live.js";
import { csrfHeaders } from "./requests.js";
import { uploader } from "./upload.js";

const form = document.getElementById("new-job");
const quote = document.getElementById("quote");
const setup = document.getElementById("setup");
const text = document.getElementById("config-text");
const file = document.getElementById("config-file");
const PAUSE_MS = 400;

/** The action, once nothing has asked for it for a moment. */
function later(action) {
  let timer = 0;
  return (...rest) => {
    clearTimeout(timer);
    timer = setTimeout(() => action(...rest), PAUSE_MS);
  };
}

// Datasets

// What has come is sent with the form until the server has drawn the choice with it: ticked if it is a dataset, else
// among what may be chosen for another input.
uploader(document.getElementById("uploader"), {
  onItem(id) {
    form.append(Object.assign(document.createElement("input"), { type: "hidden", name: "data", value: id }));
    showCome();
  },
});

const come = () => [...form.querySelectorAll(":scope > input[type=hidden][name=data]")];
const showCome = later(() => {
  for (const one of come()) one.dataset.sent = "";
  htmx.trigger(document.body, "data-came");
});

document.addEventListener("htmx:afterSettle", (event) => {
  if (event.target.id !== "data-choice") return;
  for (const one of come()) if ("sent" in one.dataset) one.remove();
  if (come().length) showCome();
  htmx.trigger(quote, "quote-again");
  if (setup) htmx.trigger(setup, "setup-again");
});

// What is given as another input was brought for that, and is no dataset as well, unless somebody ticks it again.
form.addEventListener("change", ({ target }) => {
  if (!target.name?.startsWith("input.")) return;
  for (const box of form.querySelectorAll("input[type=checkbox][name=data]")) {
    if (box.value === target.value) box.checked = false;
  }
});

// Fields and text

let asked = 0;
async function ask(source) {
  const number = ++asked;
  const body = new URLSearchParams();
  for (const [name, value] of new FormData(form)) if (typeof value === "string") body.append(name, value);
  body.set("source", source);
  const answer = await fetch(form.dataset.configUrl, { method: "POST", headers: csrfHeaders(), body });
  if (!answer.ok) throw new Error(`The server answered ${answer.status}.`);
  const said = await answer.json();
  return number === asked ? said : null; // a later question has its own answer
}

function set(name, value) {
  const field = form.elements[name];
  if (!field) return;
  if (field.type === "checkbox") field.checked = value === "true";
  else if (field.value !== value) field.value = value;
}

function tell(fault) {
  const place = document.getElementById("config-fault");
  place.replaceChildren();
  text.toggleAttribute("aria-invalid", false);
  if (!fault) return;
  const said = Object.assign(document.createElement("div"), { className: "error", textContent: fault });
  text.setAttribute("aria-invalid", "true");
  place.append(said);
}

const toFields = later(async () => {
  try {
    const said = await ask("text");
    if (!said) return;
    tell(said.fault.replaceAll("config_text: ", ""));
    if (!said.texts) return;
    for (const [name, value] of Object.entries(said.texts)) set(`p.${name}`, value);
    for (const [name, value] of Object.entries(said.swept ?? {})) {
      set(`s.${name}`, value);
      const swept = form.elements[`s.${name}`];
      if (value && swept) swept.closest("details").open = true;
    }
    if (said.points !== null) set("points", said.points);
    if (said.seed) set("seed", said.seed);
    if (said.text !== null) text.value = said.text;
    htmx.trigger(quote, "quote-again");
    if (setup) htmx.trigger(setup, "setup-again");
    tellConfig(said.config);
  } catch (error) {
    announce(error.message, "warning");
  }
});

const toText = later(async () => {
  try {
    const said = await ask("form");
    if (!said) return;
    tellConfig(said.config);
    if (document.activeElement === text) return;
    text.value = said.text;
    tell("");
  } catch {
    // The text follows with the next change.
  }
});

form.addEventListener("input", (event) => {
  if (event.target === text) toFields();
  else if (event.target.name?.startsWith("p.")) toText();
});

file.addEventListener("change", async () => {
  const [chosen] = file.files;
  if (!chosen) return;
  text.value = await chosen.text();
  file.value = "";
  toFields();
  announce(`${chosen.name} was read into the fields.`);
});

// What the analysis' own page sets, and what it is told (frame.js)

function tellConfig(config) {
  document.dispatchEvent(new CustomEvent("configchange", { detail: config }));
}

/** A value as its field has it: a choice and a box as JSON, a line of text as it is, a list with a line for each.
    Throws an Error that says why the field can't have it. */
function textOf(name, value, field) {
  const wrong = (right) => new Error(`The page set ${name} to ${String(JSON.stringify(value)).slice(0, 80)}; ${right} is right.`);
  if (value === undefined) throw wrong("a value");
  if (field.matches("select")) {
    const same = (option) => option.value && JSON.stringify(JSON.parse(option.value)) === JSON.stringify(value);
    const option = [...field.options].find(same);
    if (!option) throw wrong("one of its choices");
    return option.value;
  }
  if (field.type === "checkbox" && typeof value !== "boolean") throw wrong("true or false");
  if (field.type === "number" && !Number.isFinite(value)) throw wrong("a number");
  if (field.type === "text") {
    if (typeof value !== "string") throw wrong("text");
    return value;
  }
  if (!Array.isArray(value)) return JSON.stringify(value);
  return `[${value.map((one) => `\n  ${JSON.stringify(one)}`).join(",")}\n]`;
}

form.addEventListener("pageset", (event) => {
  const { values, analysis } = event.detail;
  const texts = {};
  try {
    for (const [name, value] of Object.entries(values)) {
      const field = form.elements[`p.${name}`];
      if (!field) throw new Error(`The page set ${name.slice(0, 80)}, which is no parameter of ${analysis}.`);
      texts[name] = textOf(name, value, field);
    }
  } catch (error) {
    event.detail.refused = error.message;
    return;
  }
  for (const [name, value] of Object.entries(texts)) set(`p.${name}`, value);
  const [first] = Object.keys(texts);
  if (first === undefined) return;
  for (const kind of ["input", "change"]) form.elements[`p.${first}`].dispatchEvent(new Event(kind, { bubbles: true }));
});

// Faults

/** A field is marked where its place for faults holds one. */
function mark() {
  for (const place of form.querySelectorAll(".fault[id$=-fault]")) {
    const field = document.getElementById(place.id.replace(/-fault$/, ""));
    if (!field?.matches("input, select, textarea")) continue;
    if (place.firstElementChild) field.setAttribute("aria-invalid", "true");
    else field.removeAttribute("aria-invalid");
  }
}
document.addEventListener("htmx:afterSettle", (event) => {
  if (event.detail.elt === quote || event.target === quote) mark();
});

// After a refusal, the reader is where something is to be put right.
const first = form.querySelector(".fault .error");
if (first) first.closest(".fault").previousElementSibling?.querySelector("input")?.focus();

// A second press while the first is on its way does nothing; the server would find the same job anyway.
form.addEventListener("submit", (event) => {
  if (event.submitter?.value !== "submit") return;
  if (form.dataset.sent) event.preventDefault();
  form.dataset.sent = "yes";
  document.getElementById("submit").setAttribute("aria-disabled", "true");
});
addEventListener("pageshow", () => {
  delete form.dataset.sent;
  document.getElementById("submit").removeAttribute("aria-disabled");
});
