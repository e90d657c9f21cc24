// Menus are <details class="menu"> and open without JavaScript; here they also close as menus do.

function closeAllBut(kept) {
  for (const menu of document.querySelectorAll("details.menu[open]")) if (menu !== kept) menu.open = false;
}

document.addEventListener("click", (event) => closeAllBut(event.target.closest("details.menu")));
// Only when the keyboard moved the focus: closing one menu under a pressed mouse button would move the next one away.
document.addEventListener("focusin", (event) => {
  if (event.target.matches(":focus-visible")) closeAllBut(event.target.closest("details.menu"));
});

document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  const menu = event.target.closest("details.menu[open]") ?? document.querySelector("details.menu[open]");
  if (!menu) return;
  menu.open = false;
  menu.querySelector("summary").focus();
});
