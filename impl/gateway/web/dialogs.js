// Dialogs: one for forms, one for questions.

import { button, element, icon, make } from "./dom.js";

/** Opens the dialog with a title and content. Returns a function that closes it. */
export function openDialog(title, ...content) {
  const dialog = element("dialog");
  const close = () => dialog.close();
  const heading = make("h2", "", title);
  heading.id = "dialog-title";
  const away = button("", "icon", close);
  away.ariaLabel = away.title = "Close";
  away.append(icon("close"));
  dialog.replaceChildren(make("header", "", heading, away), ...content);
  dialog.onclose = () => dialog.replaceChildren();
  // A click beside the dialog is one on its backdrop.
  dialog.onmousedown = (event) => event.target === dialog && close();
  dialog.showModal();
  dialog.querySelector("input, textarea, select")?.focus(); // it would be the button that closes
  return close;
}

/** Asks before something that cannot be taken back. Resolves to whether to do it. */
export function confirmed(question, action) {
  const dialog = element("question");
  const words = make("p", "", question);
  words.id = "question-text";
  const [no, yes] = [button("Cancel", "", () => dialog.close("")), button(action, "danger", () => dialog.close("yes"))];
  dialog.replaceChildren(words, make("div", "actions", no, yes));
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.onclose = () => resolve(dialog.returnValue === "yes");
  });
}
