// The page: wires what people do to the messenger, and what the messenger tells to the page.

import { Account, Messenger, RpcError } from "/client/index.js";

import { openAccount } from "./account_dialog.js";
import { attempt } from "./attempt.js";
import { Details } from "./details.js";
import { element, paintAvatar, setText } from "./dom.js";
import { deviceName, enter } from "./entry.js";
import { openNewRoom } from "./new_room.js";
import { Pane } from "./pane.js";
import { People } from "./people.js";
import { sentence } from "./sentences.js";
import { Side } from "./side.js";
import { visit } from "./visit.js";

const CONNECTION = {
  connecting: "Connecting …",
  "catching up": "Catching up …",
  live: "Connected",
  waiting: "Reconnecting …",
  closed: "Not connected",
};
const NOTICE = "idiom.notice";
const RELIST_MS = 3000;

/** As much as is read of what was missed while the page slept; beyond it, the page goes to the newest messages. */
const CATCH_UP = 500;

/** The page of somebody who is logged in. */
class App {
  #account;
  #messenger;
  #people;
  #side;
  #pane;
  #details;
  #next = "";
  #frame = null;

  constructor(account) {
    this.#account = account;
    this.#messenger = new Messenger({ account, catchUp: CATCH_UP });
    this.#people = new People(account.client.userService, () => this.#repaint());
    this.#people.remember(account.user);
    const parts = {
      messenger: this.#messenger,
      people: this.#people,
      nameOf: (overview) => this.#side.nameOf(overview),
    };
    this.#side = new Side({ ...parts, choose: (id) => this.#go(id) });
    this.#pane = new Pane({ ...parts, repaint: () => this.#repaint() });
    this.#details = new Details(parts);
  }

  start() {
    this.#paintMe(this.#account.user);
    this.#listen();
    this.#bind();
    this.#messenger.start();
    this.#route();
    void this.#list();
  }

  #listen() {
    const messenger = this.#messenger;
    messenger.addEventListener("connection", (event) => this.#connection(event));
    messenger.addEventListener("conversation", () => this.#repaint());
    messenger.addEventListener("message", ({ message }) => this.#pane.arrived(message));
    messenger.addEventListener("skipped", ({ conversationId }) => this.#pane.skipped(conversationId));
    messenger.addEventListener("room", ({ message }) => {
      this.#pane.arrived(message);
      this.#details.changed(message.conversationId);
    });
  }

  #bind() {
    addEventListener("hashchange", () => this.#route());
    addEventListener("focus", () => this.#repaint());
    document.addEventListener("keydown", (event) => this.#pressed(event));
    element("find-form").onsubmit = (event) => this.#find(event);
    element("back").onclick = () => this.#go("");
    element("more-conversations").onclick = () => void this.#list(this.#next);
    element("new-room").onclick = () => this.#newRoom();
    element("account").onclick = () => this.#openAccount();
  }

  // The account

  #paintMe(user) {
    setText(element("me"), user.displayName || user.username);
    paintAvatar(element("me-avatar"), user.displayName || user.username, user.id);
  }

  #openAccount() {
    const renamed = (user) => {
      this.#account.rename(user);
      this.#people.remember(user);
      this.#paintMe(user);
      this.#repaint();
    };
    const untold = "You are logged out here. The service could not be told, so the login stays in your list of logins.";
    openAccount({ account: this.#account, renamed, leave: (told) => leave(told ? "" : untold) });
  }

  #connection({ state, error }) {
    for (const id of ["connection", "pane-connection"]) {
      element(id).dataset.state = state;
      setText(element(id), CONNECTION[state]);
    }
    if (state !== "closed") return;
    if (error?.name === "LoginEnded") leave(sentence(error));
    else if (error) setText(element("pane-error"), "The service closed the connection. Please reload the page.");
  }

  // Conversations

  async #list(pageToken = "") {
    try {
      const page = await this.#messenger.list({ pageToken });
      this.#side.list(page.conversations);
      for (const { user } of page.conversations) if (user) this.#people.remember(user);
      this.#next = page.nextPageToken;
      element("more-conversations").hidden = !this.#next;
    } catch (error) {
      if (!(error instanceof RpcError)) throw error;
      if (error.transient) setTimeout(() => void this.#list(pageToken), RELIST_MS);
    }
    element("list").dataset.listed = "true";
    this.#repaint();
  }

  #find(event) {
    event.preventDefault();
    const wanted = element("find").value.trim();
    if (!wanted) return element("find").focus();
    const room = /(?:#room\.|^)(\d+)$/u.exec(wanted);
    const work = () => (room ? this.#go(`room.${room[1]}`) : this.#meet(wanted));
    return void attempt("find-error", work, element("find-form")).then((done) => done && element("find-form").reset());
  }

  async #meet(username) {
    const user = await this.#lookup(username);
    const conversation = this.#messenger.conversationWith(user);
    this.#side.list([conversation]);
    this.#go(conversation.id);
  }

  async #lookup(username) {
    const { user } = await this.#messenger.client.userService.lookupUser({ username });
    this.#people.remember(user);
    return user;
  }

  #newRoom() {
    const made = async ({ conversationId }) => {
      this.#side.list([await this.#messenger.look(conversationId)]);
      this.#go(conversationId);
    };
    const { roomService } = this.#messenger.client;
    openNewRoom({ rooms: roomService, lookup: (name) => this.#lookup(name), made: (room) => void made(room) });
  }

  // Which conversation is open is in the address, so that it can be kept, shared, and gone back from.

  #go(id) {
    if (location.hash.slice(1) === id) this.#route();
    else location.hash = id;
  }

  #route() {
    const id = location.hash.slice(1);
    const known = this.#messenger.conversations.get(id);
    element("visit").hidden = true;
    if (!/^(dm\.\d+\.\d+|room\.\d+)$/u.test(id)) this.#show(null);
    else if (known?.user || (known?.room && !known.left)) this.#show(known);
    else void this.#approach(id);
  }

  /** Opens a conversation of which nothing is known yet. */
  async #approach(id) {
    this.#show(null);
    try {
      const conversation = await this.#messenger.look(id);
      this.#side.list([conversation]);
      if (location.hash.slice(1) !== id) return;
      if (conversation.left) this.#visit(id);
      else this.#show(conversation);
    } catch (error) {
      if (!(error instanceof RpcError)) throw error;
      if (location.hash.slice(1) !== id) return;
      if (error.transient) setTimeout(() => location.hash.slice(1) === id && this.#route(), RELIST_MS);
      else if (id.startsWith("room.")) this.#visit(id);
      else setText(element("find-error"), sentence(error));
    }
  }

  #visit(id) {
    element("app").classList.add("reading");
    element("welcome").hidden = true;
    const joined = (conversationId) => this.#go(conversationId);
    void visit({ messenger: this.#messenger, roomId: id.slice("room.".length), joined, back: () => this.#go("") });
  }

  #show(conversation) {
    element("welcome").hidden = Boolean(conversation);
    element("app").classList.toggle("reading", Boolean(conversation));
    if (conversation !== this.#pane.conversation) this.#pane.show(conversation);
    this.#repaint();
  }

  // Keys: Alt with arrows goes through the conversations, Escape leaves one, Ctrl K finds another one.

  #pressed(event) {
    const { key, altKey, ctrlKey, metaKey } = event;
    if (document.querySelector("dialog[open]")) return;
    if (altKey && (key === "ArrowUp" || key === "ArrowDown")) this.#step(key === "ArrowDown" ? 1 : -1);
    else if ((ctrlKey || metaKey) && key === "k") element("find").focus();
    else if (key === "Escape" && this.#details.open) this.#details.close();
    else if (key === "Escape") this.#go("");
    else return;
    event.preventDefault();
  }

  #step(by) {
    const keys = [...element("conversations").children].map((child) => child.dataset.key);
    const next = keys.at((keys.indexOf(this.#pane.conversation?.id) + by) % keys.length);
    if (next) this.#go(next);
  }

  // Painting: once per frame, however much has changed; at once where no frames are drawn.

  #repaint() {
    if (this.#frame !== null) return;
    const paint = () => {
      this.#frame = null;
      this.#paint();
    };
    this.#frame = document.hidden ? setTimeout(paint) : requestAnimationFrame(paint);
  }

  #paint() {
    this.#pane.paint();
    this.#details.paint(this.#pane.conversation);
    const unread = this.#side.paint(this.#pane.conversation?.id);
    const empty = element("conversations").childElementCount === 0;
    element("no-conversations").hidden = !empty || !element("list").dataset.listed;
    document.title = unread > 0 ? `(${unread}) Idiom` : "Idiom";
  }
}

/** Back to the entry, with a sentence that says why. */
function leave(why) {
  sessionStorage.setItem(NOTICE, why);
  location.reload();
}

function start() {
  const account = new Account();
  const entered = () => {
    element("entry").hidden = true;
    element("app").hidden = false;
    new App(account).start();
  };
  if (account.user) return entered();
  element("entry").hidden = false;
  const notice = sessionStorage.getItem(NOTICE) ?? "";
  sessionStorage.removeItem(NOTICE);
  // Whoever logs in in another tab is logged in here, too.
  const elsewhere = new AbortController();
  addEventListener("storage", () => account.user && location.reload(), { signal: elsewhere.signal });
  const here = () => {
    elsewhere.abort();
    entered();
  };
  return enter({ account, device: deviceName(navigator.userAgent), notice, entered: here });
}

start();
