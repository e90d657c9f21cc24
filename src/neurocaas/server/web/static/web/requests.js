// What every request from a script has in common: the CSRF header, and a sentence when it fails.
// htmx itself is set up by <meta name="htmx-config"> in base.html.

import { announce } from "./live.js";

/** For fetch() and for uploads: {"X-CSRFToken": ...}. */
export function csrfHeaders() {
  return { "X-CSRFToken": document.querySelector("meta[name=csrf-token]").content };
}

document.addEventListener("htmx:configRequest", (event) => {
  if (event.detail.verb !== "get") Object.assign(event.detail.headers, csrfHeaders());
});

/** The sentence of a failed answer: RFC 9457 problem documents carry one; pages don't. */
function sentence(request) {
  if (request.getResponseHeader("Content-Type")?.startsWith("application/problem+json")) {
    const { detail, title, remedy } = JSON.parse(request.responseText);
    return [detail || title, remedy].filter(Boolean).join(" ");
  }
  if (request.status === 401 || request.status === 403) return "You may be signed out. Load the page again.";
  if (request.status === 404) return "This is no longer there. Load the page again.";
  if (request.status === 429) return "Too many requests in a short time. Wait a minute, then try again.";
  return `The server could not do this (${request.status}). Try again; if it happens again, tell the operator.`;
}

document.addEventListener("htmx:responseError", (event) => announce(sentence(event.detail.xhr), "error"));
document.addEventListener("htmx:sendError", () => {
  announce("The server can't be reached. Check the connection, then try again.", "error");
});
