// Copy buttons: <button class="button quiet small copy" data-copy="ID" hidden>Copy</button> copies the text of the
// element with that id. They are hidden in the markup, because without JavaScript they could do nothing.

import { announce } from "./live.js";

/** Also on a site without https, where browsers offer no clipboard interface. */
async function write(text, button) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  const area = document.createElement("textarea");
  area.value = text;
  area.className = "unseen";
  button.after(area); // inside its dialog, if it is in one
  area.select();
  const copied = document.execCommand("copy");
  area.remove();
  if (!copied) throw new Error("The browser did not copy.");
}

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  const source = document.getElementById(button.dataset.copy);
  try {
    await write(source.value ?? source.textContent.trim(), button);
    announce("Copied.");
    const word = button.textContent;
    if (word === "Copied") return;
    button.textContent = "Copied";
    setTimeout(() => (button.textContent = word), 2000);
  } catch {
    announce("The browser did not allow copying. Select the text and copy it by keyboard.", "warning");
  }
});

export function show(root) {
  for (const button of root.querySelectorAll("[data-copy][hidden]")) button.hidden = false;
}

show(document);
document.addEventListener("htmx:load", (event) => show(event.target));
