// Uploads of staged data: Uppy shows and paces them, the server's API begins and completes them (/api/v1/uploads), and
// says how the bytes go: by tus to this site, or in parts straight to S3. What was begun is remembered in this browser,
// so that dropping the same file again, after a closed tab or laptop, goes on where it stopped.
//
//   import { uploader } from "./upload.js";
//   uploader(element, { onItem: (id, name) => ... });
//
// element: data-form ("file", "folder", or "any": a file is an item, and so is a folder while data-whole is set),
// data-accept (".npy,.csv", or nothing for all), data-group, data-tags (parted by commas; read when an upload begins).

import { announce } from "./live.js";
import { csrfHeaders } from "./requests.js";
import { shownTheme } from "./theme.js";
import { Dashboard, Tus, Uppy } from "../vendor/uppy.min.mjs";
import { putParts } from "./upload-parts.js";

const API = "/api/v1/uploads";
const ASK_AGAIN_MS = 1500;
const AT_ONCE = 4;
const REMEMBERED = "neurocaas-uploads";

/** Ask the API. Throws an Error with the server's sentence. */
export async function ask(path, document) {
  const answer = await fetch(`${API}${path}`, {
    method: document === undefined ? "GET" : "POST",
    headers: { "Content-Type": "application/json", ...csrfHeaders() },
    body: document === undefined ? undefined : JSON.stringify(document),
  });
  const said = await answer.json().catch(() => ({}));
  if (!answer.ok) {
    const sentence = [said.detail || said.title || `The server answered ${answer.status}.`, said.remedy];
    throw Object.assign(new Error(sentence.filter(Boolean).join(" ")), { status: answer.status });
  }
  return said;
}

/** What this browser has begun: fingerprint of a file or folder -> { id, name, size, at }. */
const memory = {
  all() {
    try {
      return JSON.parse(localStorage.getItem(REMEMBERED)) ?? {};
    } catch {
      return {};
    }
  },
  change(how) {
    const all = this.all();
    how(all);
    try {
      localStorage.setItem(REMEMBERED, JSON.stringify(all));
    } catch {
      // Without room to remember, an upload just begins anew next time.
    }
  },
};

/** One file, or the files of one folder: what becomes one item. */
function bundle(files, folder, group) {
  const size = files.reduce((sum, file) => sum + (file.size ?? 0), 0);
  const name = folder || files[0].name;
  const changed = Math.max(...files.map((file) => file.data.lastModified ?? 0));
  const paths = files.map((file) => (folder ? pathInside(file) : file.name));
  return { files, paths, name, size, folder, print: [group, name, size, changed, files.length].join("|") };
}

function relativePath(file) {
  return (file.data.webkitRelativePath || file.meta.relativePath || file.name).replace(/^\//, "");
}
const folderOf = (file) => (relativePath(file).includes("/") ? relativePath(file).split("/")[0] : "");
const pathInside = (file) => relativePath(file).split("/").slice(1).join("/");

/** The upload of a bundle: the one that was begun before if the server still knows it, else a new one. */
async function begin(one, tags) {
  const before = memory.all()[one.print];
  if (before) {
    try {
      const upload = await ask(`/${before.id}`);
      if (upload.item || ["receiving", "checking"].includes(upload.state ?? "receiving")) return upload;
    } catch (error) {
      if (error.status !== 404 && error.status !== 410) throw error;
    }
  }
  const upload = await ask("", {
    name: one.name,
    form: one.folder ? "folder" : "file",
    files: one.files.map((file, index) => ({ path: one.paths[index], size_bytes: file.size })),
    tags,
  });
  memory.change((all) => (all[one.print] = { id: upload.id, name: one.name, size: one.size, at: Date.now() }));
  return upload;
}

/** Have the server check what arrived, for as long as that takes. Returns the item's id. */
async function complete(upload) {
  for (;;) {
    const now = upload.item ? upload : await ask(`/${upload.id}/complete`, {});
    if (now.item) return typeof now.item === "string" ? now.item : now.item.id;
    await new Promise((resolve) => setTimeout(resolve, ASK_AGAIN_MS));
  }
}

export function uploader(element, { onItem }) {
  const { form = "file", accept = "", group = "" } = element.dataset;
  const byFolder = form === "folder";
  const kinds = accept.split(",").filter(Boolean);
  const bundles = new Map(); // Uppy's id of a file -> its bundle, with the upload that it goes to
  const uppy = new Uppy({ autoProceed: true, restrictions: { allowedFileTypes: kinds.length ? kinds : null } });

  uppy.use(Dashboard, {
    target: element,
    inline: true,
    width: "100%",
    height: 260,
    proudlyDisplayPoweredByUppy: false,
    fileManagerSelectionType: byFolder ? "folders" : "both",
    showRemoveButtonAfterComplete: false,
    doneButtonHandler: null,
    note: byFolder ? "Folders, each a dataset" : kinds.length ? `Files of kind ${kinds.join(", ")}` : null,
    theme: shownTheme(),
  });
  document.addEventListener("themechange", (event) => uppy.getPlugin("Dashboard").setOptions({ theme: event.detail }));

  uppy.addPreProcessor(async (ids) => {
    const files = ids.map((id) => uppy.getFile(id)).filter((file) => file && !bundles.has(file.id));
    const inFolders = files.filter((file) => byFolder || (form === "any" && "whole" in element.dataset && folderOf(file)));
    const grouped = [
      ...[...Map.groupBy(inFolders, folderOf)].map(([folder, some]) => bundle(some, folder || "folder", group)),
      ...files.filter((file) => !inFolders.includes(file)).map((file) => bundle([file], "", group)),
    ];
    for (const one of grouped) await prepare(one);
  });

  async function prepare(one) {
    try {
      one.upload = await begin(one, (element.dataset.tags ?? "").split(",").filter((tag) => tag.trim()));
    } catch (error) {
      for (const file of one.files) {
        uppy.emit("upload-error", uppy.getFile(file.id), error);
        uppy.removeFile(file.id);
      }
      uppy.info(`${one.name}: ${error.message}`, "error", 15000);
      announce(`${one.name}: ${error.message}`, "error");
      return;
    }
    one.files.forEach((file, index) => {
      bundles.set(file.id, one);
      const path = one.upload.files.find((sent) => sent.path === one.paths[index]) ?? one.upload.files[index];
      const state = { part: path, tus: path?.tus_url ? { uploadUrl: path.tus_url } : undefined };
      uppy.setFileState(file.id, { ...state, isGhost: false });
    });
  }

  // Uppy's own tus plugin sends those that go by tus; parts and what is known already are seen to here.
  uppy.addUploader(async (ids) => {
    const files = ids.map((id) => uppy.getFile(id)).filter((file) => file && !file.tus && bundles.has(file.id));
    const waiting = [...files];
    const lane = async () => {
      for (let file = waiting.shift(); file; file = waiting.shift()) await sendFile(file);
    };
    await Promise.all(Array.from({ length: AT_ONCE }, lane));
  });

  async function sendFile(file) {
    const { upload } = bundles.get(file.id);
    try {
      if (file.part && !file.part.done && upload.method === "s3") {
        await putParts(upload.id, file.part, file.data, (sent) => {
          uppy.emit("upload-progress", uppy.getFile(file.id), {
            uploadStarted: file.progress.uploadStarted ?? Date.now(),
            bytesUploaded: sent,
            bytesTotal: file.size,
          });
        });
      }
      uppy.emit("upload-success", uppy.getFile(file.id), { status: 200, uploadURL: "" });
    } catch (error) {
      uppy.emit("upload-error", uppy.getFile(file.id), error);
    }
  }

  uppy.use(Tus, {
    endpoint: "/uploads/",
    headers: csrfHeaders(), // of the page: a session shows that it means what it sends
    limit: AT_ONCE,
    chunkSize: Infinity,
    retryDelays: [0, 1000, 3000, 5000, 10000, 20000],
    storeFingerprintForResuming: false, // the server's upload id is remembered, for all of a folder's files at once
    removeFingerprintOnSuccess: true,
    allowedMetaFields: [],
  });

  uppy.addPostProcessor(async (ids) => {
    const whole = new Set(ids.map((id) => bundles.get(id)).filter(Boolean));
    await Promise.all([...whole].map(finish));
  });

  async function finish(one) {
    const states = one.files.map((file) => uppy.getFile(file.id));
    if (one.done || states.some((file) => !file || file.error)) return;
    for (const file of states) {
      uppy.emit("postprocess-progress", file, { mode: "indeterminate", message: "Checking the digest" });
    }
    try {
      const item = await complete(one.upload);
      one.done = true;
      memory.change((all) => delete all[one.print]);
      announce(`${one.name} is uploaded.`);
      onItem(item, one.name);
    } catch (error) {
      memory.change((all) => delete all[one.print]);
      announce(`${one.name}: ${error.message}`, "error");
      uppy.info(error.message, "error", 15000);
    } finally {
      for (const file of states) uppy.emit("postprocess-complete", file);
    }
  }

  uppy.on("upload", () => announce("The upload has begun."));
  uppy.on("upload-error", (file, error) => file && announce(`${file.name}: ${error.message}`, "warning"));
  uppy.on("complete", ({ successful, failed }) => {
    if (successful.length && !failed.length) announce("All uploads have ended.");
    for (const file of successful) {
      if (bundles.get(file.id)?.done) uppy.removeFile(file.id);
    }
  });
  addEventListener("beforeunload", (event) => {
    if (Object.values(uppy.getState().currentUploads).length) event.preventDefault();
  });
  element.hidden = false;
  tellUnfinished(element, group);
  return uppy;
}

/** What was begun in this browser and not ended: dropped again, it goes on. */
function tellUnfinished(element, group) {
  const week = Date.now() - 7 * 24 * 3600 * 1000;
  memory.change((all) => {
    for (const [print, one] of Object.entries(all)) if (one.at < week) delete all[print];
  });
  const names = Object.entries(memory.all())
    .filter(([print]) => print.startsWith(`${group}|`))
    .map(([, one]) => one.name);
  if (!names.length) return;
  const told = document.createElement("p");
  told.className = "muted small";
  told.textContent = `Not finished earlier: ${names.slice(0, 5).join(", ")}. Drop the same again to go on where it stopped.`;
  element.after(told);
}
