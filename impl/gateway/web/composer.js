// Where somebody writes. What is not sent yet stays with its conversation.

import { element, setText } from "./dom.js";
import { sentence } from "./sentences.js";

const MOST_ROWS = 8;

/** As much as the service takes of a message. */
const MOST_BYTES = 16_384;

/** The form below a conversation; `send(text)` is called with what was written. */
export class Composer {
  #send;
  #drafts = new Map();
  #conversationId = null;

  constructor(send) {
    this.#send = send;
    element("send-form").onsubmit = (event) => this.#submit(event);
    element("text").onkeydown = (event) => this.#pressed(event);
    element("text").oninput = () => this.#typed();
  }

  /** Goes on writing in a conversation. */
  open(conversationId) {
    this.#conversationId = conversationId;
    element("text").value = this.#drafts.get(conversationId) ?? "";
    this.#fit();
    // Where fingers type, the keyboard would cover what there is to read.
    if (matchMedia("(pointer: fine)").matches) element("text").focus();
  }

  #submit(event) {
    event.preventDefault();
    const text = element("text").value.trim();
    element("text").focus();
    const tooLong = new TextEncoder().encode(text).length > MOST_BYTES;
    setText(element("pane-error"), tooLong ? sentence({ reason: "VALIDATION_FAILED", message: "text:" }) : "");
    if (!text || tooLong) return;
    element("text").value = "";
    this.#typed();
    this.#send(text);
  }

  #pressed(event) {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    element("send-form").requestSubmit();
  }

  #typed() {
    const { value } = element("text");
    if (value) this.#drafts.set(this.#conversationId, value);
    else this.#drafts.delete(this.#conversationId);
    this.#fit();
  }

  #fit() {
    const text = element("text");
    text.rows = 1;
    while (text.scrollHeight > text.clientHeight && text.rows < MOST_ROWS) text.rows += 1;
  }
}
