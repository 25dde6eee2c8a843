// Doing what may be refused.

import { ClientError, RpcError } from "/client/index.js";

import { element, setText } from "./dom.js";
import { sentence } from "./sentences.js";

/**
 * Does something; a refusal becomes a sentence in an element, which is given by its id or itself. The buttons of a form
 * rest meanwhile. Resolves to whether it was done.
 */
export async function attempt(place, work, form = null) {
  const shown = typeof place === "string" ? element(place) : place;
  const buttons = form?.querySelectorAll("button") ?? [];
  setText(shown, "");
  for (const pressed of buttons) pressed.disabled = true;
  try {
    await work();
    return true;
  } catch (error) {
    if (!(error instanceof RpcError || error instanceof ClientError)) throw error;
    setText(shown, sentence(error));
    return false;
  } finally {
    for (const pressed of buttons) pressed.disabled = false;
  }
}
