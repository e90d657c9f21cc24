// Small things of every page that need no module of their own.

/** <time datetime>: the reader's own clock, on hover. */
function localTimes(root) {
  for (const time of root.querySelectorAll("time[datetime]")) {
    time.title = new Date(time.dateTime).toLocaleString([], { dateStyle: "full", timeStyle: "long" });
  }
}

/** .dropzone: show that what hangs over it may be dropped. The input inside takes the files itself. */
document.addEventListener("dragover", (event) => event.target.closest?.(".dropzone")?.classList.add("over"));
for (const name of ["dragleave", "drop"]) {
  document.addEventListener(name, (event) => event.target.closest?.(".dropzone")?.classList.remove("over"));
}
document.addEventListener("change", (event) => {
  const chosen = event.target.closest(".dropzone")?.querySelector("[data-chosen]");
  if (chosen) chosen.textContent = Array.from(event.target.files, (file) => file.name).join(", ");
});

/** .console[data-follow] stays at its end while lines arrive, unless the reader has scrolled up. */
const NEAR_PIXELS = 40;
function follow(root) {
  for (const log of root.querySelectorAll(".console[data-follow]:not([data-followed])")) {
    log.dataset.followed = "";
    let atEnd = true;
    log.addEventListener("scroll", () => {
      atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < NEAR_PIXELS;
    });
    const toEnd = () => atEnd && (log.scrollTop = log.scrollHeight);
    new MutationObserver(toEnd).observe(log, { childList: true, characterData: true, subtree: true });
    toEnd();
  }
}

/** <button data-opens="ID"> opens that dialog. */
document.addEventListener("click", (event) => {
  const opener = event.target.closest("[data-opens]");
  if (opener) document.getElementById(opener.dataset.opens).showModal();
});

for (const dress of [localTimes, follow]) {
  dress(document);
  document.addEventListener("htmx:load", (event) => dress(event.target.parentElement ?? event.target));
}
