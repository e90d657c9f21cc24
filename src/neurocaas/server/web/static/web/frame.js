// The page around a page that an analysis brought. That one is in a frame without an origin: it can fetch nothing, and
// knows nothing of this site. It asks by messages (docs/reference/pages.md), and is handed files from one list alone.
//
// <div data-framed data-files="address of the list" data-start="JSON, what it is told first"> holds the frame and a
// place for faults, .framed-faults. What it sets comes as an event `pageset` on that element, whose `detail.refused`
// says why nothing came of it. A `configchange` on the document, with the config as detail, is passed on to it.

import { shownTheme } from "./theme.js";

const VERSION = 1;
const LEAST_HEIGHT = 120;
const MOST_HEIGHT = 4000;
const BORDER = 2; // pixels, above and below
const MOST_FILE_BYTES = 512 * 1024 ** 2;
const MOST_SET_CHARACTERS = 256 * 1024;
const AT_ONCE = 8;
const MOST_WAITING = 500;
const MOST_FAULTS = 3;

/** What a page is told by Error: its sentence. */
async function fetched(address) {
  const answer = await fetch(address, { credentials: "same-origin", redirect: "error" }).catch(() => null);
  if (!answer) throw new Error("The server can't be reached.");
  if (!answer.ok) throw new Error(`The server answered ${answer.status}.`);
  return answer;
}

class Framed {
  constructor(element) {
    this.element = element;
    this.frame = element.querySelector("iframe");
    this.start = JSON.parse(element.dataset.start);
    this.runs = new Set(this.start.runs.map((run) => run.id));
    this.lists = new Map(); // by run: a promise of path -> {path, size_bytes, url}
    this.waiting = [];
    this.going = 0;
    this.ready = false;
    this.hear = (event) => this.heard(event);
    addEventListener("message", this.hear);
    this.frame.src = this.frame.dataset.document; // not before somebody hears that it is ready
  }

  get gone() {
    return !this.element.isConnected;
  }

  end() {
    removeEventListener("message", this.hear);
  }

  /** A document without an origin has none to name; that it is this frame's is what counts. */
  tell(message, transfer = []) {
    if (!this.gone) this.frame.contentWindow?.postMessage({ neurocaas: VERSION, ...message }, "*", transfer);
  }

  heard(event) {
    if (this.gone || event.source !== this.frame.contentWindow || event.origin !== "null") return;
    const said = event.data;
    if (said === null || typeof said !== "object" || said.neurocaas !== VERSION) return;
    if (said.type === "ready") this.begin();
    else if (said.type === "size") this.resize(said.height);
    else if (said.type === "set") this.set(said.values);
    else if (said.type === "file" || said.type === "files") this.queue(said);
  }

  async begin() {
    const files = (await this.shown()) ?? [];
    this.ready = true;
    this.tell({ type: "start", theme: shownTheme(), ...this.start, files });
  }

  resize(height) {
    if (!Number.isFinite(height)) return;
    this.frame.height = Math.round(Math.min(MOST_HEIGHT, Math.max(LEAST_HEIGHT, height))) + BORDER;
  }

  // Parameters

  set(values) {
    const refused = (error) => {
      this.fault(error);
      this.tell({ type: "refused", error });
    };
    if (this.start.page !== "setup") return refused("The page set a parameter, but the job has run already.");
    if (values === null || typeof values !== "object" || Array.isArray(values)) {
      return refused("The page set something that is no list of parameters and values.");
    }
    let text;
    try {
      text = JSON.stringify(values);
    } catch {
      return refused("The page set something that can't be written as JSON, such as a loop.");
    }
    if (text.length > MOST_SET_CHARACTERS) {
      return refused("The page set more than 256 KiB at once.");
    }
    const detail = { values, analysis: this.start.analysis, refused: "" };
    this.element.dispatchEvent(new CustomEvent("pageset", { bubbles: true, detail }));
    if (detail.refused) refused(detail.refused);
    else this.element.querySelector(".framed-faults").replaceChildren();
  }

  fault(sentence) {
    const place = this.element.querySelector(".framed-faults");
    place.append(Object.assign(document.createElement("p"), { className: "error", textContent: sentence }));
    while (place.children.length > MOST_FAULTS) place.firstElementChild.remove();
  }

  // Files

  /** The files of a run, or of the preview, which has none. */
  list(run) {
    if (!this.lists.has(run)) {
      const address = new URL(this.element.dataset.files, location.href);
      if (run !== null) address.searchParams.set("run", run);
      const coming = fetched(address)
        .then((answer) => answer.json())
        .then(({ files }) => new Map(files.map((file) => [file.path, file])));
      coming.catch(() => this.lists.delete(run)); // asked for once more, it may come
      this.lists.set(run, coming);
    }
    return this.lists.get(run);
  }

  /** More of a job's files have landed. */
  async landed() {
    this.lists.clear();
    if (!this.ready) return;
    const files = await this.shown();
    if (files) this.tell({ type: "files", run: this.start.run, files });
  }

  /** The files of what is shown, as the page is told of them; null, and a fault is shown, where nobody can list them. */
  async shown() {
    try {
      return [...(await this.list(this.start.run)).values()].map(named);
    } catch (error) {
      this.fault(`The files for this page can't be listed: ${error.message}`);
      return null;
    }
  }

  queue(asked) {
    if (this.waiting.length >= MOST_WAITING) {
      return this.answer(asked, { error: `More than ${MOST_WAITING} files were asked for at once.` });
    }
    this.waiting.push(asked);
    this.next();
  }

  async next() {
    if (this.going >= AT_ONCE || !this.waiting.length || this.gone) return;
    this.going += 1;
    const asked = this.waiting.shift();
    try {
      if (asked.type === "files") this.answer(asked, { files: [...(await this.listFor(asked)).values()].map(named) });
      else {
        const buffer = await this.file(asked);
        this.answer(asked, { buffer }, [buffer]);
      }
    } catch (error) {
      this.answer(asked, { error: error.message });
    } finally {
      this.going -= 1;
      this.next();
    }
  }

  answer(asked, what, transfer) {
    const { type, id, path, run } = asked;
    this.tell({ type, id, ...(path === undefined ? {} : { path }), ...(run === undefined ? {} : { run }), ...what }, transfer);
  }

  listFor(asked) {
    const run = asked.run ?? this.start.run;
    if (run !== this.start.run && !this.runs.has(run)) throw new Error("There is no such run of this job.");
    return this.list(run);
  }

  async file(asked) {
    const known = (await this.listFor(asked)).get(asked.path);
    if (!known) throw new Error(`There is no file ${String(asked.path).slice(0, 200)} in the list for this page.`);
    if (known.size_bytes > MOST_FILE_BYTES) throw new Error(`${known.path} is larger than 512 MiB; download it instead.`);
    return (await fetched(known.url)).arrayBuffer();
  }
}

const named = ({ path, size_bytes }) => ({ path, size_bytes });

// One for each frame of this page, as long as it is there.

let framed = [];

function look() {
  for (const one of framed) if (one.gone) one.end();
  framed = framed.filter((one) => !one.gone);
  for (const element of document.querySelectorAll("[data-framed]:not([data-framed-on])")) {
    element.dataset.framedOn = "";
    framed.push(new Framed(element));
  }
}
look();
document.addEventListener("htmx:load", look);

document.addEventListener("themechange", (event) => {
  for (const one of framed) one.tell({ type: "theme", theme: event.detail });
});
document.addEventListener("configchange", (event) => {
  for (const one of framed) {
    one.start.config = event.detail;
    if (one.ready) one.tell({ type: "config", config: event.detail });
  }
});
document.addEventListener("htmx:sseMessage", (event) => {
  if (event.detail.type === "landed") for (const one of framed) one.landed();
});

// A choice among runs is shown at once; without this script its button does it.
for (const form of document.querySelectorAll("form[data-sends-itself]")) {
  form.querySelector("button").hidden = true;
  form.addEventListener("change", () => form.requestSubmit());
}
