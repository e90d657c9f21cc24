// What scripts have to say: a word for screen readers, or a notice in the corner that everyone sees.

/** Say something. Without a kind only screen readers hear it; "warning" and "error" are also shown, until closed. */
export function announce(text, kind = "") {
  const region = document.getElementById("live");
  if (!kind) {
    region.querySelector(".unseen").textContent = text;
    return;
  }
  const notice = document.getElementById("live-notice").content.cloneNode(true).firstElementChild;
  notice.classList.add(kind);
  notice.querySelector("p").textContent = text;
  notice.querySelector("button").addEventListener("click", () => notice.remove());
  for (const old of region.querySelectorAll(".notice")) old.remove();
  region.append(notice);
}
