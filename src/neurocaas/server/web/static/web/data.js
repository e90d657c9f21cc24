// The page of staged data: what is dropped is uploaded, and the list shows it.

import { uploader } from "./upload.js";

const place = document.getElementById("uploader");
const tags = document.getElementById("upload-tags");
const whole = document.getElementById("upload-whole");

tags.addEventListener("input", () => (place.dataset.tags = tags.value));
whole.addEventListener("change", () => place.toggleAttribute("data-whole", whole.checked));
document.getElementById("upload-options").hidden = false;

uploader(place, { onItem: () => htmx.trigger(document.body, "data-came") });
