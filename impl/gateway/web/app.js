// The page: wires what people do to the messenger, and what the messenger knows to the page.

import { RpcError, createClient } from "/gen/im.js";

import { Account, Names, ReadMarks } from "./account.js";
import { Messenger } from "./messenger.js";
import { sentence } from "./sentences.js";
import { element, paintAvatar, paintConversations, paintMessages, setText } from "./view.js";

const CONNECTION = {
  connecting: "Connecting …",
  open: "Connected",
  waiting: "Reconnecting …",
  closed: "Not connected",
};

/** How near to the end somebody reads for new messages to be followed. */
const NEAR_END_PX = 80;
const LONGEST_COMPOSER_ROWS = 8;

const account = new Account(localStorage);
const client = createClient({ token: () => account.accessToken });

let messenger = null;
let names = null;
let readMarks = null;
let current = null;
let asked = new Set();
let frame = null;
let follow = true;

function start() {
  element("entry").hidden = Boolean(account.login);
  element("app").hidden = !account.login;
  if (!account.login) return element("username").focus();
  const { user } = account.login;
  names = new Names(localStorage, user.id);
  asked = new Set();
  readMarks = new ReadMarks(localStorage, user.id);
  setText(element("me"), user.username);
  paintAvatar(element("me-avatar"), user.username, user.id);
  messenger = new Messenger({ client, account, storage: localStorage, changed: repaint, connection: paintConnection });
  messenger.start();
  show(null);
  return undefined;
}

/** Back to the entry, with a sentence that says why. */
function leave(why = "") {
  const left = messenger;
  messenger = null;
  left?.stop();
  account.leave();
  element("password").value = "";
  element("conversations").replaceChildren();
  element("messages").replaceChildren();
  start();
  setText(element("entry-error"), why);
}

function paintConnection({ state, close }) {
  for (const id of ["connection", "pane-connection"]) {
    element(id).dataset.state = state;
    setText(element(id), CONNECTION[state]);
  }
  if (state !== "closed" || !messenger) return;
  if (close?.reconnect === "AUTHENTICATE") leave("Your login has expired. Please log in again.");
  else setText(element("pane-error"), "The service closed the connection. Please reload the page.");
}

// Entry

element("entry-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const action = event.submitter?.value ?? "login";
  void attempt("entry-error", element("entry-form"), async () => {
    const request = { username: element("username").value.trim(), password: element("password").value };
    account.enter(await client.authService[action](request));
    start();
  });
});

element("logout").addEventListener("click", () => leave());

window.addEventListener("storage", (event) => {
  if (event.key === "idiom.login") location.reload();
});

/** Does something that may be refused: the buttons of the form rest, and the refusal is one sentence. */
async function attempt(errorId, form, work) {
  const buttons = form.querySelectorAll("button");
  setText(element(errorId), "");
  for (const button of buttons) button.disabled = true;
  try {
    await work();
  } catch (error) {
    if (!(error instanceof RpcError)) throw error;
    setText(element(errorId), sentence(error));
  } finally {
    for (const button of buttons) button.disabled = false;
  }
}

// Conversations

element("start-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const username = element("start-name").value.trim();
  if (!username) return element("start-name").focus();
  return void attempt("start-error", element("start-form"), async () => {
    const { user, conversation } = await messenger.lookup(username);
    names.remember(user);
    element("start-name").value = "";
    show(conversation);
    element("text").focus();
  });
});

element("back").addEventListener("click", () => show(null));

function show(conversation) {
  current = conversation;
  follow = true;
  element("pane").hidden = !conversation;
  element("welcome").hidden = Boolean(conversation);
  element("app").classList.toggle("reading", Boolean(conversation));
  element("messages").replaceChildren();
  setText(element("pane-error"), "");
  if (conversation) messenger.open(conversation);
  repaint();
}

function nameOf(conversation) {
  const { peerId } = conversation;
  if (peerId === messenger.userId) return `${account.login.user.username} (you)`;
  const known = names.of(peerId);
  if (known) return known;
  if (!peerId) return conversation.id;
  void introduce(peerId);
  return `User ${peerId}`;
}

/** Learns the name of somebody who wrote first. */
async function introduce(userId) {
  if (asked.has(userId)) return;
  asked.add(userId);
  const [asking, known] = [messenger, names];
  try {
    known.remember(await asking.userOf(userId));
  } catch {
    // The id has to do for now; asked again after ten seconds.
    setTimeout(() => asked.delete(userId), 10000);
  }
  if (asking === messenger) repaint();
}

function conversationItems() {
  const items = [...messenger.conversations.values()].map((conversation) => {
    const unsent = messenger.unsent(conversation).at(-1);
    const last = conversation.messages.at(-1);
    const unread = last && last.senderId !== messenger.userId && BigInt(last.seq) > BigInt(readMarks.of(conversation.id));
    return {
      key: conversation.id,
      name: nameOf(conversation),
      peerId: conversation.peerId,
      preview: unsent?.text ?? last?.text ?? "",
      time: unsent?.createdAt ?? conversation.lastActive,
      unread: Boolean(unread),
      current: conversation === current,
      known: conversation === current || Boolean(unsent) || conversation.head.seq !== "0",
    };
  });
  return items.filter((item) => item.known).sort((left, right) => right.time - left.time);
}

// Messages

function messageItems() {
  const mine = (message) => message.senderId === messenger.userId;
  const peer = nameOf(current);
  const said = current.messages.map((message) => ({
    key: `${message.senderId}/${message.clientMessageId}`,
    mine: mine(message),
    author: mine(message) ? "You" : peer,
    text: message.text ?? "",
    time: Date.parse(message.createdAt) || Date.now(),
    state: "accepted",
  }));
  const unsent = messenger.unsent(current).map((entry) => ({
    key: `${messenger.userId}/${entry.clientMessageId}`,
    mine: true,
    author: "You",
    text: entry.text,
    time: entry.createdAt,
    state: entry.state,
    error: entry.error,
    entry,
  }));
  return [...said, ...unsent];
}

/** Paints once per frame, however much has changed; at once where no frames are drawn. */
function repaint() {
  if (frame !== null) return;
  const paintNow = () => {
    frame = null;
    if (messenger) paint();
  };
  frame = document.hidden ? setTimeout(paintNow) : requestAnimationFrame(paintNow);
}

function paint() {
  if (current) paintPane();
  const items = conversationItems();
  paintConversations(element("conversations"), items, (id) => show(messenger.conversation(id)));
  element("no-conversations").hidden = items.length > 0;
  document.title = items.some((item) => item.unread) ? "• Idiom" : "Idiom";
}

function paintPane() {
  const name = nameOf(current);
  setText(element("pane-title"), name);
  paintAvatar(element("pane-avatar"), name, current.peerId);
  const items = messageItems();
  const scroll = element("scroll");
  const before = element("messages").childElementCount;
  paintMessages(element("messages"), items, messenger);
  const grown = element("messages").childElementCount > before;
  element("older").hidden = !current.older;
  element("no-messages").hidden = items.length > 0 || !current.position;
  if (follow) scroll.scrollTop = scroll.scrollHeight;
  else if (grown && before > 0) element("latest").hidden = false;
  if (follow && !document.hidden && current.position) readMarks.mark(current.id, current.position.seq);
}

element("scroll").addEventListener("scroll", () => {
  const { scrollTop, scrollHeight, clientHeight } = element("scroll");
  follow = scrollHeight - scrollTop - clientHeight < NEAR_END_PX;
  if (!follow) return;
  element("latest").hidden = true;
  if (current) repaint();
});

element("latest").addEventListener("click", () => {
  follow = true;
  element("latest").hidden = true;
  repaint();
});

document.addEventListener("visibilitychange", () => current && repaint());

element("older").addEventListener("click", () => {
  const [scroll, conversation] = [element("scroll"), current];
  follow = false;
  void attempt("pane-error", scroll, async () => {
    const fromEnd = scroll.scrollHeight - scroll.scrollTop;
    await messenger.older(conversation);
    if (conversation !== current) return;
    paint();
    element("latest").hidden = true;
    scroll.scrollTop = scroll.scrollHeight - fromEnd;
  });
});

// Writing

element("send-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = element("text").value.trim();
  if (!text || !current) return;
  setText(element("pane-error"), "");
  follow = true;
  element("text").value = "";
  fitComposer();
  messenger.send(current, text);
});

element("text").addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  element("send-form").requestSubmit();
});

element("text").addEventListener("input", fitComposer);

function fitComposer() {
  const text = element("text");
  text.rows = 1;
  while (text.scrollHeight > text.clientHeight && text.rows < LONGEST_COMPOSER_ROWS) text.rows += 1;
}

start();
