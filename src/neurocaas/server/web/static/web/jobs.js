// Pages of jobs: two jobs to compare, files to download together.

/** What is ticked decides what may be done. */
function look() {
  for (const form of document.querySelectorAll("[data-pick-two]")) {
    const ticked = form.querySelectorAll("input[name=job]:checked").length;
    form.querySelector("[data-pick-button]").disabled = ticked !== 2;
    for (const box of form.querySelectorAll("input[name=job]:not(:checked)")) box.disabled = ticked >= 2;
  }
  for (const button of document.querySelectorAll("[data-needs-tick]")) {
    button.disabled = !button.form.querySelector("input:checked");
  }
}

document.addEventListener("change", look);
document.addEventListener("htmx:afterSettle", look);
window.addEventListener("pageshow", look);
look();

// A list of files that is loaded anew, because more have landed, keeps what was ticked.
document.addEventListener("htmx:beforeSwap", (event) => {
  const list = event.detail.target;
  if (!list.matches?.("[data-keep-ticks]")) return;
  const ticked = new Set(Array.from(list.querySelectorAll("input:checked"), (box) => box.value));
  list.addEventListener(
    "htmx:afterSwap",
    () => {
      for (const box of list.querySelectorAll("input[type=checkbox]")) box.checked = ticked.has(box.value);
    },
    { once: true },
  );
});

// The file that is shown is marked in the list.
document.addEventListener("htmx:afterRequest", (event) => {
  const link = event.detail.elt;
  if (!link.matches?.("a[hx-target='#viewer']") || !event.detail.successful) return;
  for (const other of document.querySelectorAll("#files a[aria-current]")) other.removeAttribute("aria-current");
  link.setAttribute("aria-current", "true");
  document.getElementById("viewer").scrollIntoView({ block: "nearest" }); // on a phone it is below the list
});
