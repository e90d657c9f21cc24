// data-confirm="Cancel job 12?" on a form, a submit button or an htmx element asks first, in the page's own dialog.
// data-confirm-detail says what follows; data-confirm-action names the button ("Cancel the job").

const dialog = document.getElementById("confirm");

/** Ask; true if the person agrees. */
export function ask({ question, detail = "", action = "Go on" }) {
  dialog.querySelector("h2").textContent = question;
  dialog.querySelector("p").textContent = detail;
  dialog.querySelector("p").hidden = !detail;
  dialog.querySelector("[value=yes]").textContent = action;
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true });
  });
}

function wishes(element) {
  const { confirm, confirmDetail, confirmAction } = element.dataset;
  return { question: confirm, detail: confirmDetail, action: confirmAction };
}

const agreed = new WeakSet();
const isHtmx = (element) => element.matches("[hx-get], [hx-post], [hx-put], [hx-patch], [hx-delete]");

document.addEventListener(
  "submit",
  async (event) => {
    const form = event.target;
    const asks = [event.submitter, form].find((element) => element?.dataset.confirm);
    if (!asks || isHtmx(form) || agreed.delete(form)) return;
    event.preventDefault();
    event.stopPropagation();
    const { submitter } = event;
    if (!(await ask(wishes(asks)))) return;
    agreed.add(form);
    form.requestSubmit(submitter);
  },
  true,
);

document.addEventListener("htmx:confirm", async (event) => {
  const asks = [event.detail.triggeringEvent?.submitter, event.detail.elt].find((one) => one?.dataset.confirm);
  if (!asks) return;
  event.preventDefault();
  if (await ask(wishes(asks))) event.detail.issueRequest(true);
});
